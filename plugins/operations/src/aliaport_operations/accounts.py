"""Accounts of customers and suppliers: `/api/cari`."""

from typing import Any

import asyncpg

from aliaport.apps import Context, Refusal
from aliaport_operations import folding
from aliaport_operations.account_fields import (
    Account,
    AccountPage,
    AccountsQuery,
    AccountVersion,
    ChangedAccount,
    Contact,
    NewAccount,
)
from aliaport_operations.paging import Conditions, read_cursor, split_page
from aliaport_operations.responses import not_found, version_conflict
from aliaport_operations.routing import ApiRequest, ApiResponse, route
from aliaport_operations.sessions import Caller
from aliaport_operations.text import masked
from aliaport_operations.users import Role

PATH = "/api/cari"
_ITEM = f"{PATH}/{{id}}"

_SELECT = """
SELECT a.id, a.code, a.title, a.title_key, a.kind, a.tax_number, a.currency,
       a.contact_person, a.contact_phone, a.contact_email, a.deactivated_at, a.version,
       a.created_by, a.created_at, a.changed_by, a.changed_at,
       c.name AS created_by_name, m.name AS changed_by_name
FROM aliaport_operations_accounts a
JOIN aliaport_operations_users c ON c.id = a.created_by
JOIN aliaport_operations_users m ON m.id = a.changed_by"""
# Materialized for a search: the planner cannot estimate how frequent a prefix is, and for a word
# that no account has it would walk the whole index of the sort order.
_PAGE = """
WITH found AS {how} (
    SELECT a.id, a.code, a.title_key FROM aliaport_operations_accounts a {where}
), page AS MATERIALIZED (
    SELECT a.id FROM found a ORDER BY {columns} LIMIT {limit}
) {select} JOIN page ON page.id = a.id ORDER BY {columns}"""
_INSERT = """
INSERT INTO aliaport_operations_accounts
    (created_by, changed_by, code, title, kind, tax_number, currency,
     contact_person, contact_phone, contact_email, title_key, words)
VALUES ($1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, array_to_tsvector($11)) RETURNING id"""
_UPDATE = """
UPDATE aliaport_operations_accounts SET
    changed_by = $1, changed_at = now(), version = version + 1,
    code = $2, title = $3, kind = $4, tax_number = $5, currency = $6,
    contact_person = $7, contact_phone = $8, contact_email = $9,
    title_key = $10, words = array_to_tsvector($11)
WHERE id = $12 AND version = $13"""
_SWITCH = """
UPDATE aliaport_operations_accounts SET
    changed_by = $2, changed_at = now(), version = version + 1,
    deactivated_at = CASE WHEN $3 THEN NULL ELSE now() END
WHERE id = $1 AND version = $4 AND (deactivated_at IS NOT NULL) = $3"""


class Accounts:
    """The routes of accounts."""

    def __init__(self, context: Context) -> None:
        self._audit = context.audit

    @route(
        "GET",
        PATH,
        "List accounts",
        role=Role.VIEWER,
        query=AccountsQuery,
        response=AccountPage,
        errors=(403,),
    )
    async def list(self, request: ApiRequest) -> ApiResponse:
        """Return one page of the accounts that match the query."""
        query: AccountsQuery = request.query
        conditions = Conditions()
        if query.q is not None:
            wanted = folding.prefix_query(query.q)
            if wanted is None:
                return ApiResponse(AccountPage(items=[], next=None))
            conditions.add("a.words @@ {}::tsquery", wanted)
        conditions.equals("a.kind", query.kind)
        conditions.equals("a.currency", query.currency)
        if query.state is not None:
            conditions.is_null("a.deactivated_at", null=query.state == "active")
        if query.tax_number is not None:
            request.caller.check_search_by("tax_number")
            conditions.equals("a.tax_number", query.tax_number)
        key: dict[str, type] = (
            {"code": str} if query.sort == "code" else {"title_key": str, "id": int}
        )
        columns = ", ".join(f"a.{column}" for column in key)
        if query.after is not None:
            values = read_cursor(query.after, query.sort, list(key.values()))
            placeholders = ", ".join("{}" for _ in values)
            conditions.add(f"({columns}) > ({placeholders})", *values)
        statement = _PAGE.format(
            how="" if query.q is None else "MATERIALIZED",
            where=conditions.where,
            columns=columns,
            limit=query.limit + 1,
            select=_SELECT,
        )
        rows = await request.connection.fetch(statement, *conditions.arguments)
        page, following = split_page(
            rows, query.limit, query.sort, lambda last: [last[column] for column in key]
        )
        items = [_account(row, request.caller) for row in page]
        return ApiResponse(AccountPage(items=items, next=following))

    @route(
        "POST",
        PATH,
        "Create an account",
        role=Role.CLERK,
        body=NewAccount,
        response=Account,
        status=201,
        errors=(409,),
    )
    async def create(self, request: ApiRequest) -> ApiResponse:
        """Store a new account, if its code is free."""
        body: NewAccount = request.body
        try:
            account_id = await request.connection.fetchval(
                _INSERT, request.caller.id, *_columns(body)
            )
        except asyncpg.UniqueViolationError:
            raise _taken(body.code) from None
        account = await _find(request, account_id)
        return ApiResponse(account, 201, {"Location": f"{PATH}/{account.id}"})

    @route("GET", _ITEM, "Read an account", role=Role.VIEWER, response=Account)
    async def read(self, request: ApiRequest) -> ApiResponse:
        """Return one account."""
        return ApiResponse(await _find(request, request.id))

    @route(
        "PUT",
        _ITEM,
        "Change an account",
        role=Role.CLERK,
        body=ChangedAccount,
        response=Account,
        errors=(409,),
    )
    async def change(self, request: ApiRequest) -> ApiResponse:
        """Replace the account, unless it is no longer the version that the caller read."""
        body: ChangedAccount = request.body
        try:
            # One transaction, so that the response does not show a later change by somebody else.
            async with request.connection.transaction():
                done = await request.connection.execute(
                    _UPDATE, request.caller.id, *_columns(body), request.id, body.version
                )
                account = await _find(request, request.id)
        except asyncpg.UniqueViolationError:
            raise _taken(body.code) from None
        if done == "UPDATE 0":
            raise version_conflict("account", account)
        return ApiResponse(account)

    @route(
        "POST",
        f"{_ITEM}/deactivate",
        "Deactivate an account, so that it gets no new work orders",
        role=Role.ADMIN,
        body=AccountVersion,
        response=Account,
        errors=(409,),
    )
    async def deactivate(self, request: ApiRequest) -> ApiResponse:
        """Deactivate an active account."""
        return await self._switch(request, active=False)

    @route(
        "POST",
        f"{_ITEM}/activate",
        "Activate a deactivated account",
        role=Role.ADMIN,
        body=AccountVersion,
        response=Account,
        errors=(409,),
    )
    async def activate(self, request: ApiRequest) -> ApiResponse:
        """Activate a deactivated account."""
        return await self._switch(request, active=True)

    async def _switch(self, request: ApiRequest, *, active: bool) -> ApiResponse:
        body: AccountVersion = request.body
        async with request.connection.transaction():
            done = await request.connection.execute(
                _SWITCH, request.id, request.caller.id, active, body.version
            )
            account = await _find(request, request.id)
            if done == "UPDATE 0":
                if account.version == body.version:
                    word = "active" if active else "deactivated"
                    raise Refusal(409, "already", f"the account is already {word}")
                raise version_conflict("account", account)
            action = "account.activated" if active else "account.deactivated"
            await self._audit.arecord(action, user=request.caller.name, account=account.code)
        return ApiResponse(account)


def _columns(body: NewAccount) -> tuple[Any, ...]:
    contact = body.contact
    return (
        *(body.code, body.title, body.kind, body.tax_number, body.currency),
        *(contact.person, contact.phone, contact.email),
        *(folding.sort_key(body.title), folding.words(body.code, body.title)),
    )


async def _find(request: ApiRequest, account_id: int) -> Account:
    row = await request.connection.fetchrow(f"{_SELECT} WHERE a.id = $1", account_id)
    if row is None:
        raise not_found("account")
    return _account(row, request.caller)


def _account(row: asyncpg.Record, caller: Caller) -> Account:
    tax_number = row["tax_number"]
    person, phone, email = (row[f"contact_{part}"] for part in ("person", "phone", "email"))
    if not caller.sees_personal_data:
        tax_number = masked(tax_number, last=2)
        person, phone, email = masked(person, first=1), masked(phone, last=2), masked(email)
    return Account(
        id=row["id"],
        code=row["code"],
        title=row["title"],
        kind=row["kind"],
        tax_number=tax_number,
        currency=row["currency"],
        contact=Contact(person=person, phone=phone, email=email),
        active=row["deactivated_at"] is None,
        version=row["version"],
        created_by=row["created_by_name"],
        created_at=row["created_at"],
        changed_by=row["changed_by_name"],
        changed_at=row["changed_at"],
    )


def _taken(code: str) -> Refusal:
    return Refusal(409, "code_taken", f"account {code} already exists; choose another code")
