"""Accounts of customers and suppliers: `/api/cari`."""

from collections.abc import Sequence
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
from aliaport_operations.calls import Call, Outcome, Route, missing
from aliaport_operations.conflicts import version_conflict
from aliaport_operations.masking import masked, sees_personal_data
from aliaport_operations.paging import Conditions, read_cursor, write_cursor
from aliaport_operations.roles import Role

PATH = "/api/cari"

_SELECT = """
SELECT a.*, c.name AS created_by_name, m.name AS changed_by_name
FROM aliaport_operations_accounts a
JOIN aliaport_operations_users c ON c.id = a.created_by
JOIN aliaport_operations_users m ON m.id = a.changed_by"""
# Materialised for a search, or the planner, which knows nothing of how frequent beginnings of words
# are, walks the order's index from its start for a word that is nowhere.
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

    def routes(self) -> Sequence[Route]:
        """The routes, with the roles that may call them."""
        item = f"{PATH}/{{id}}"
        return [
            Route(
                method="GET",
                path=PATH,
                summary="List accounts",
                handler=self.list,
                role=Role.VIEWER,
                query=AccountsQuery,
                answer=AccountPage,
                errors=(403,),
            ),
            Route(
                method="POST",
                path=PATH,
                summary="Create an account",
                handler=self.create,
                role=Role.CLERK,
                body=NewAccount,
                answer=Account,
                status=201,
                errors=(409,),
            ),
            Route(
                method="GET",
                path=item,
                summary="Read an account",
                handler=self.read,
                role=Role.VIEWER,
                answer=Account,
            ),
            Route(
                method="PUT",
                path=item,
                summary="Change an account",
                handler=self.change,
                role=Role.CLERK,
                body=ChangedAccount,
                answer=Account,
                errors=(409,),
            ),
            Route(
                method="POST",
                path=f"{item}/deactivate",
                summary="Deactivate an account: it gets no more work orders",
                handler=self.deactivate,
                role=Role.ADMIN,
                body=AccountVersion,
                answer=Account,
                errors=(409,),
            ),
            Route(
                method="POST",
                path=f"{item}/activate",
                summary="Activate a deactivated account",
                handler=self.activate,
                role=Role.ADMIN,
                body=AccountVersion,
                answer=Account,
                errors=(409,),
            ),
        ]

    async def list(self, call: Call) -> Outcome:
        """`GET /api/cari`."""
        query: AccountsQuery = call.query
        conditions = Conditions()
        if query.q is not None:
            wanted = folding.prefix_query(query.q)
            if wanted is None:
                return Outcome(AccountPage(items=[], next=None))
            conditions.add("a.words @@ {}::tsquery", wanted)
        for column in ("kind", "currency"):
            if (value := getattr(query, column)) is not None:
                conditions.add(f"a.{column} = {{}}", value)
        if query.state is not None:
            there = "NOT NULL" if query.state == "deactivated" else "NULL"
            conditions.add(f"a.deactivated_at IS {there}")
        if query.tax_number is not None:
            if not sees_personal_data(call.caller):
                raise Refusal(403, "forbidden", "viewers cannot search by tax_number")
            conditions.add("a.tax_number = {}", query.tax_number)
        columns = "a.code" if query.sort == "code" else "a.title_key, a.id"
        if query.after is not None:
            kinds = (str,) if query.sort == "code" else (str, int)
            key = read_cursor(query.after, query.sort, kinds)
            places = ", ".join("{}" for _ in key)
            conditions.add(f"({columns}) > ({places})", *key)
        statement = _PAGE.format(
            how="" if query.q is None else "MATERIALIZED",
            where=conditions.where,
            columns=columns,
            limit=query.limit + 1,
            select=_SELECT,
        )
        rows = await call.connection.fetch(statement, *conditions.arguments)
        page = rows[: query.limit]
        following = None
        if len(rows) > query.limit:
            last = page[-1]
            key = (last["code"],) if query.sort == "code" else (last["title_key"], last["id"])
            following = write_cursor(query.sort, key)
        return Outcome(AccountPage(items=[_shown(row, call) for row in page], next=following))

    async def create(self, call: Call) -> Outcome:
        """`POST /api/cari`."""
        body: NewAccount = call.body
        try:
            number = await call.connection.fetchval(_INSERT, call.caller.id, *_columns(body))
        except asyncpg.UniqueViolationError:
            raise _taken(body.code) from None
        account = await _find(call, number)
        return Outcome(account, 201, {"Location": f"{PATH}/{account.id}"})

    async def read(self, call: Call) -> Outcome:
        """`GET /api/cari/{id}`."""
        return Outcome(await _find(call, call.number))

    async def change(self, call: Call) -> Outcome:
        """`PUT /api/cari/{id}`."""
        body: ChangedAccount = call.body
        try:
            # So that the answer does not show a later change of somebody else.
            async with call.connection.transaction():
                done = await call.connection.execute(
                    _UPDATE, call.caller.id, *_columns(body), call.number, body.version
                )
                account = await _find(call, call.number)
        except asyncpg.UniqueViolationError:
            raise _taken(body.code) from None
        if done == "UPDATE 0":
            raise version_conflict("account", account)
        return Outcome(account)

    async def deactivate(self, call: Call) -> Outcome:
        """`POST /api/cari/{id}/deactivate`."""
        return await self._switch(call, active=False)

    async def activate(self, call: Call) -> Outcome:
        """`POST /api/cari/{id}/activate`."""
        return await self._switch(call, active=True)

    async def _switch(self, call: Call, *, active: bool) -> Outcome:
        body: AccountVersion = call.body
        async with call.connection.transaction():
            done = await call.connection.execute(
                _SWITCH, call.number, call.caller.id, active, body.version
            )
            account = await _find(call, call.number)
            if done == "UPDATE 0":
                if account.version == body.version:
                    word = "active" if active else "deactivated"
                    raise Refusal(409, "already", f"the account is {word} already")
                raise version_conflict("account", account)
            action = "account.activated" if active else "account.deactivated"
            await self._audit.arecord(action, user=call.caller.name, account=account.code)
        return Outcome(account)


def _columns(body: NewAccount) -> tuple[Any, ...]:
    contact = body.contact
    return (
        *(body.code, body.title, body.kind, body.tax_number, body.currency),
        *(contact.person, contact.phone, contact.email),
        *(folding.sort_key(body.title), folding.words(body.code, body.title)),
    )


async def _find(call: Call, number: int) -> Account:
    row = await call.connection.fetchrow(f"{_SELECT} WHERE a.id = $1", number)
    if row is None:
        raise missing("account")
    return _shown(row, call)


def _shown(row: asyncpg.Record, call: Call) -> Account:
    tax_number = row["tax_number"]
    person, phone, email = (row[f"contact_{each}"] for each in ("person", "phone", "email"))
    if not sees_personal_data(call.caller):
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
    return Refusal(409, "code_taken", f"there is an account {code} already; choose another code")
