"""Who may call what: each role, and everybody who is nobody, on each route."""

from typing import Any

import pytest

from tests.support.operations import CARI, GATE, ORDER, ROLES, Operations
from tests.support.service import Response

OPENAPI = "/api/openapi.json"
LEAST_ROLE = {
    ("POST", "/auth/login"): None,
    ("POST", "/auth/logout"): "viewer",
    ("GET", "/auth/me"): "viewer",
    ("POST", "/auth/password"): "viewer",
    ("GET", CARI): "viewer",
    ("POST", CARI): "clerk",
    ("GET", f"{CARI}/{{id}}"): "viewer",
    ("PUT", f"{CARI}/{{id}}"): "clerk",
    ("POST", f"{CARI}/{{id}}/deactivate"): "admin",
    ("POST", f"{CARI}/{{id}}/activate"): "admin",
    ("GET", ORDER): "viewer",
    ("POST", ORDER): "clerk",
    ("GET", f"{ORDER}/{{id}}"): "viewer",
    ("PUT", f"{ORDER}/{{id}}"): "clerk",
    ("POST", f"{ORDER}/{{id}}/status"): "clerk",
    ("GET", f"{ORDER}/{{id}}/history"): "viewer",
    ("GET", GATE): "viewer",
    ("POST", GATE): "clerk",
    ("GET", f"{GATE}/{{id}}"): "viewer",
}
"""None is everybody."""

PROTECTED = [route for route, least in LEAST_ROLE.items() if least is not None]
UNSAID = "this stands in no answer"
NONSENSE = f'{{"{UNSAID}": '.encode()
"""No JSON: whoever may not call a route hears nothing about it."""


def covers(role: str, least: str | None) -> bool:
    return least is None or ROLES.index(role) >= ROLES.index(least)


def ask(
    api: Operations, method: str, template: str, *, query: str = "", **options: Any
) -> Response:
    """A call that can do nothing: its body is no JSON, or its query is unknown."""
    path = template.replace("{id}", "1")
    body = None if method in ("GET", "HEAD") else NONSENSE
    return api.call(method, f"{path}?{query or 'unknown=1'}", body, **options)


def test_each_route_stands_in_the_table_of_this_test(api: Operations) -> None:
    answer = api.get(OPENAPI, role=None)
    assert answer.status == 200, "the description is for everybody"
    described = {
        (method.upper(), path)
        for path, operations in answer.json["paths"].items()
        for method in operations
    }
    own = {("GET", OPENAPI)}
    assert described == set(LEAST_ROLE) | own, "a new route needs an entry in LEAST_ROLE"


def test_the_description_names_the_least_role_of_each_route(api: Operations) -> None:
    paths = api.get(OPENAPI, role=None).json["paths"]
    for (method, path), least in LEAST_ROLE.items():
        operation = paths[path][method.lower()]
        told = "For everybody." if least is None else f"For {least}s and above."
        assert operation["description"] == told, (method, path)
        assert ("security" in operation) == (least is not None), (method, path)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_calls_its_routes_and_those_of_lesser_roles_only(api: Operations, role: str) -> None:
    wrong = {}
    for (method, path), least in LEAST_ROLE.items():
        answer = ask(api, method, path, role=role)
        code = answer.json["error"]["code"]
        # Who may call is told what is wrong with the call, so the role was enough.
        right = (
            code in ("invalid", "malformed") if covers(role, least)
            else (answer.status, code) == (403, "forbidden") and UNSAID not in answer.text
        )  # fmt: skip
        if not right:
            wrong[method, path] = answer.text
    assert not wrong


def expired(api: Operations) -> str:
    token = api.token(api.add_user("late.clerk", "admin"))
    api.sql(
        "UPDATE aliaport_operations_sessions s SET created_at = now() - interval '2 hours', "
        "expires_at = now() - interval '1 second' FROM aliaport_operations_users u "
        "WHERE u.id = s.user_id AND u.name = 'late.clerk'"
    )
    return token


@pytest.fixture(scope="module")
def nobodies(api: Operations) -> dict[str, dict[str, str]]:
    """Headers by which nobody is known."""
    token = api.tokens["admin"]
    return {
        "nothing": {},
        "empty": {"Authorization": ""},
        "no token": {"Authorization": "Bearer"},
        "blanks": {"Authorization": "Bearer    "},
        "garbage": {"Authorization": "Bearer " + "x" * 43},
        "long garbage": {"Authorization": "Bearer " + "x" * 8000},
        "not ASCII": {"Authorization": "Bearer tökén"},
        "invalid UTF-8": {"Authorization": f"Bearer {token}ÿ"},
        "injection": {"Authorization": "Bearer ' OR '1'='1"},
        "expired": {"Authorization": f"Bearer {expired(api)}"},
        "basic": {"Authorization": "Basic YWRtaW46YWRtaW4="},
        "token as basic": {"Authorization": f"Basic {token}"},
        "token alone": {"Authorization": token},
        "token with a blank": {"Authorization": f"Bearer {token[:20]} {token[20:]}"},
        "token and more": {"Authorization": f"Bearer {token}, Bearer {token}"},
        "half a token": {"Authorization": f"Bearer {token[:-1]}"},
        "other case": {"Authorization": f"Bearer {token.swapcase()}"},
        "cookie": {"Cookie": f"token={token}; Authorization={token}"},
        "other header": {"X-Authorization": f"Bearer {token}", "X-Forwarded-User": "admin"},
    }


def test_nobody_gets_in_anywhere_and_hears_nothing_about_the_body(
    api: Operations, nobodies: dict[str, dict[str, str]]
) -> None:
    wrong = {}
    for name, headers in nobodies.items():
        for method, path in PROTECTED:
            answer = ask(api, method, path, role=None, headers=headers)
            right = (
                answer.status == 401
                and answer.headers.get("WWW-Authenticate") == "Bearer"
                and answer.json["success"] is False
                and answer.json["error"]["code"] == "not_signed_in"
                and UNSAID not in answer.text
                and api.tokens["admin"] not in answer.text
            )
            if not right:
                wrong[name, method, path] = answer.text
    assert not wrong


def test_a_token_in_the_query_counts_for_nothing(api: Operations) -> None:
    token = api.tokens["admin"]
    for name in ("token", "access_token", "authorization", "api_key"):
        for method, path in PROTECTED:
            answer = ask(api, method, path, role=None, query=f"{name}={token}")
            assert answer.status == 401, (name, method, path)


def test_the_word_bearer_has_any_case_as_in_its_standard(api: Operations) -> None:
    for word in ("bearer", "BEARER"):
        headers = {"Authorization": f"{word} {api.tokens['viewer']}"}
        assert api.call("GET", "/auth/me", role=None, headers=headers).status == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (NONSENSE, {"Content-Type": "text/plain"}),
        (b" " * 70_000, {}),
        (b"\xff\xfe", {}),
        (b"", {}),
    ],
    ids=["wrong type", "too large", "no UTF-8", "empty"],
)
def test_who_may_not_call_hears_it_before_any_fault_of_the_body(
    api: Operations, body: bytes, headers: dict[str, str]
) -> None:
    for path in (CARI, ORDER, GATE):
        assert api.call("POST", path, body, role=None, headers=headers).status == 401
        assert api.call("POST", path, body, role="viewer", headers=headers).status == 403


def test_what_is_refused_for_the_role_is_not_done(api: Operations) -> None:
    account = api.account()
    body = {"code": "NOT-DONE", "title": "Deneme", "kind": "customer"}
    version = {"version": account["version"]}
    api.refused(403, "POST", CARI, body, role="viewer")
    api.refused(403, "PUT", f"{CARI}/{account['id']}", body | version, role="viewer")
    api.refused(403, "POST", f"{CARI}/{account['id']}/deactivate", version, role="clerk")
    order = {"account_id": account["id"], "title": "Tahliye"}
    api.refused(403, "POST", ORDER, order, role="viewer")
    api.refused(403, "POST", GATE, {"direction": "in", "plate": "34 ABC 1"}, role="viewer")
    assert api.data("GET", f"{CARI}/{account['id']}") == account
    counts = api.sql(
        "SELECT (SELECT count(*) FROM aliaport_operations_accounts WHERE code = 'NOT-DONE') + "
        f"(SELECT count(*) FROM aliaport_operations_work_orders WHERE account_id = {account['id']})"
        " + (SELECT count(*) FROM aliaport_operations_gate_logs)"
    )
    assert counts == "0"


def test_viewers_cannot_search_by_what_is_masked_for_them(api: Operations) -> None:
    api.account(tax_number="10000000146")
    assert api.refused(403, "GET", CARI, role="viewer", tax_number="10000000146")
    assert api.refused(403, "GET", GATE, role="viewer", plate="34 ABC 1")
    assert api.data("GET", CARI, role="clerk", tax_number="10000000146")["items"]


@pytest.mark.parametrize("path", [CARI, ORDER, GATE, "/auth/me", f"{CARI}/{{id}}"])
def test_head_is_answered_like_get_without_the_body(api: Operations, path: str) -> None:
    path = path.replace("{id}", str(api.account()["id"]))
    for role, status in (("viewer", 200), (None, 401)):
        got = api.call("GET", path, role=role)
        head = api.call("HEAD", path, role=role)
        assert (got.status, head.status, head.text) == (status, status, "")
        for name in ("Content-Type", "Content-Length", "Cache-Control", "WWW-Authenticate"):
            assert head.headers.get(name) == got.headers.get(name), name
    assert api.call("HEAD", f"{CARI}/999999", role="viewer").status == 404


@pytest.mark.parametrize("role", [None, "admin"])
def test_a_wrong_method_is_405_and_tells_the_right_ones(api: Operations, role: str | None) -> None:
    allowed: dict[str, set[str]] = {OPENAPI: {"GET", "HEAD"}}
    for method, path in LEAST_ROLE:
        allowed.setdefault(path, set()).update({method, "HEAD"} if method == "GET" else {method})
    for path, right in allowed.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LOCK"} - right:
            answer = api.call(method, path.replace("{id}", "1"), role=role)
            assert answer.status == 405, (method, path)
            assert set(answer.headers["Allow"].split(",")) == right, (method, path)
            assert answer.json["error"]["code"] == "method_not_allowed", (method, path)


@pytest.mark.parametrize("role", [None, "admin"])
def test_an_unknown_path_is_404_in_the_one_shape(api: Operations, role: str | None) -> None:
    paths = ["/auth", "/auth/", "/auth/login/", "/auth/users", "/api", f"{OPENAPI}/"]
    paths += [f"{CARI}{rest}" for rest in ("/", "//", "/1/", "/1/delete", "/1/status", "x", "%00")]
    paths += [f"{ORDER}/1/activate", f"{GATE}/1/history", "/api/CARI", f"/{CARI}", f"{CARI}/../x"]
    for path in paths:
        for method in ("GET", "POST", "DELETE"):
            answer = api.call(method, path, role=role)
            assert answer.status == 404, (method, path, answer.text)
            assert answer.json["success"] is False
            assert {"code", "message", "request_id", "trace_id"} == set(answer.json["error"])
            assert answer.json["error"]["code"] == "not_found"
