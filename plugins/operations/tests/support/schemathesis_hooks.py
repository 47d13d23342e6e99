"""Hooks that make requests of schemathesis valid beyond the schema: check digits, existing rows.

They change only valid values, into other valid ones, so that intentionally invalid ones remain.
"""

import itertools
import json
import os
import re
from collections.abc import Callable
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import AuthContext, Case, HookContext, Response
from schemathesis.core.parameters import ParameterLocation
from stdnum.tr import tckimlik, vkn

FACTS: dict[str, Any] = json.loads(os.environ["OPERATIONS_UNDER_TEST"])
"""`url`, `password`, `tokens` by role, and IDs of rows: `accounts`, `orders`, `entries`."""

_TAX_NUMBER = re.compile(r"[0-9]{10}|[1-9][0-9]{10}")
_TIME = re.compile(r"([0-9]{4})(-[0-9]{2}-)([0-9]{2})(T.+(?:Z|[+-][0-9]{2}:[0-9]{2}))")
_KEY = re.compile(r"[!-~]([ -~]{0,98}[!-~])?")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,2000}")
_CODE = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,31}")
_STATUSES = ("draft", "planned", "in_progress", "done", "cancelled")
_SOME_CURSOR = "a-cursor"
_REFERENCES = {"account_id": "accounts", "work_order_id": "orders", "corrects": "entries"}
_LISTS = {"/api/cari": "accounts", "/api/work-order": "orders", "/api/gate-log": "entries"}

_session = requests.Session()
_fresh = itertools.count()
_passwords = [FACTS["password"]]


def _checked(digits: str) -> str:
    """Return the tax or identity number with these digits and correct check digits."""
    if len(digits) == 10:
        return digits[:9] + str(vkn.calc_check_digit(digits[:9]))
    return digits[:9] + str(tckimlik.calc_check_digits(digits[:9]))


schemathesis.openapi.format(
    "tr-tax-number", st.from_regex(_TAX_NUMBER, fullmatch=True).map(_checked)
)
schemathesis.openapi.format(
    "plate", st.from_regex(r"[ ._-]?(?:[A-Za-z0-9ÇĞİÖŞÜçğıöşü][ ._/-]?){2,14}", fullmatch=True)
)
schemathesis.openapi.format("cursor", st.just(_SOME_CURSOR))


def _call(method: str, path: str, token: str = FACTS["tokens"]["admin"], **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    response = _session.request(method, FACTS["url"] + path, headers=headers, timeout=30, **options)
    return response.json().get("data")


def _sign_in(name: str, password: str) -> str:
    body = {"username": name, "password": password}
    token: str = _call("POST", "/auth/login", json=body)["token"]
    return token


class _Token:
    """Sends the token that `get` returns for each request."""

    def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.auth(refresh_interval=None).skip_for(path_regex="^/auth/(login|logout|password)$")
class Admin(_Token):
    """An admin, who can call all routes."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        token: str = FACTS["tokens"]["admin"]
        return token


@schemathesis.auth(refresh_interval=None).apply_to(path="/auth/logout")
class Leaving(_Token):
    """A new session for each sign-out."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        return _sign_in("viewer", FACTS["password"])


@schemathesis.auth(refresh_interval=None).apply_to(path="/auth/password")
class Changing(_Token):
    """A user without other sessions, which a new password would end."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        token: str = FACTS["tokens"]["changing"]
        return token


def _whole(value: Any, maximum: int) -> bool:
    return type(value) in (int, float) and value % 1 == 0 and 1 <= value <= maximum


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Make values that match the schema fully valid, and refer to existing rows."""
    root = "/".join(case.path.split("/")[:3])
    invalid = _invalid(case)
    number = _row(case, root)
    if case.headers and _KEY.fullmatch(str(case.headers.get("Idempotency-Key", ""))):
        # Every generated request is different, and a key is valid for one request only.
        key = f"{next(_fresh)}-{case.headers['Idempotency-Key'][:90]}"
        case.headers["Idempotency-Key"] = key
    if isinstance(case.query, dict):
        _query(case.query, root, valid=ParameterLocation.QUERY not in invalid)
    if isinstance(case.body, dict):
        _body(case.body, root, number)
        if ParameterLocation.BODY not in invalid:
            _valid_body(case.path, case.body)
    # Otherwise, values of formats unknown to the validator would be treated as valid.
    case._sync_validated_hashes()  # noqa: SLF001


def _invalid(case: Case[Any]) -> set[ParameterLocation]:
    """Return the intentionally invalid parts. Call it before any change, which resets them."""
    components = {} if case.meta is None else case.meta.components
    return {location for location, component in components.items() if component.mode.is_negative}


def _query(query: dict[str, Any], root: str, *, valid: bool) -> None:
    after, sort = query.get("after"), query.get("sort")
    if after == _SOME_CURSOR or (valid and isinstance(after, str) and _CURSOR.fullmatch(after)):
        params = {"limit": 1} | ({"sort": sort} if sort in ("code", "title") else {})
        query["after"] = _call("GET", root, params=params)["next"]


def _row(case: Case[Any], root: str) -> int:
    """Return the ID in the path or 0; replace most large IDs by that of an existing row."""
    text = str((case.path_parameters or {}).get("id", ""))
    if not re.fullmatch(r"[1-9][0-9]{0,15}", text):
        return 0
    number = int(text)
    if 1000 < number < 2**53 and number % 8:
        rows = FACTS[_LISTS[root]]
        number = case.path_parameters["id"] = rows[number % len(rows)]
    return number


def _body(body: dict[str, Any], root: str, number: int) -> None:
    for name, of in _REFERENCES.items():
        value: Any = body.get(name)
        if _whole(value, 2**53 - 1) and value not in FACTS[of]:
            body[name] = type(value)(FACTS[of][int(value) % len(FACTS[of])])
    version: Any = body.get("version")
    if _whole(version, 2**31 - 1) and number and int(version) % 4:
        _up_to_date(body, _call("GET", f"{root}/{number}") or {}, moves=int(version) % 4 > 1)
    _change(body, "passed_at", _past)
    # The code of an account cannot be used again.
    _change(body, "code", lambda text: _CODE.fullmatch(text) and f"{text[:26]}{next(_fresh)}")


def _valid_body(path: str, body: dict[str, Any]) -> None:
    _change(body, "tax_number", lambda text: _TAX_NUMBER.fullmatch(text) and _checked(text))
    if path == "/auth/login" and len(body["password"]) % 2:
        body |= {"username": "viewer", "password": FACTS["password"]}
    if path == "/auth/password":
        if len(body["current_password"]) % 2:
            body["current_password"] = _passwords[-1]
        # A password needs at least 5 different characters.
        body["new_password"] = "vwxyz" + body["new_password"][5:]


def _up_to_date(body: dict[str, Any], now: dict[str, Any], *, moves: bool) -> None:
    body["version"] = now.get("version", body["version"])
    allowed = now.get("next_statuses", [])
    if moves and allowed and body.get("status") in _STATUSES:
        body["status"] = allowed[body["version"] % len(allowed)]


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """Remember a changed password."""
    body: Any = case.body
    if case.path == "/auth/password" and response.status_code == 200:
        _passwords.append(body["new_password"])


def _change(body: dict[str, Any], name: str, change: Callable[[str], Any]) -> None:
    value = body.get(name)
    if isinstance(value, str) and (changed := change(value)):
        body[name] = changed


def _past(text: str) -> str:
    """Return the same time in a past year."""
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    year, month, day, rest = found.groups()
    return f"{2001 + int(year) % 24}{month}{'28' if day == '29' else day}{rest}"
