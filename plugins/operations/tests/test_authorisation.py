"""Tests of authorisation: every role, and callers without a valid token, on every route."""

from typing import Any

import pytest

from tests.support.operations import CARI, GATE, ORDER, ROLES, Operations
from tests.support.service import Response

OPENAPI = "/api/openapi.json"
MIN_ROLE = {
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
"""None: no sign-in required."""

ROLE_TEXTS = {
    None: "Requires no sign-in.",
    "viewer": "Requires the role viewer, clerk or admin.",
    "clerk": "Requires the role clerk or admin.",
    "admin": "Requires the role admin.",
}

PROTECTED = [route for route, lowest in MIN_ROLE.items() if lowest is not None]
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LOCK"}
UNSAID = "never in a response"
NONSENSE = f'{{"{UNSAID}": '.encode()
"""Not JSON. A caller that may not use a route must not get an error about it."""


def covers(role: str, lowest: str | None) -> bool:
    return lowest is None or ROLES.index(role) >= ROLES.index(lowest)


def send(
    api: Operations, method: str, template: str, *, query: str = "", **options: Any
) -> Response:
    """Send a request that changes nothing: its body is not JSON, or its query is unknown."""
    path = template.replace("{id}", "1")
    body = None if method in ("GET", "HEAD") else NONSENSE
    return api.call(method, f"{path}?{query or 'unknown=1'}", body, **options)


def test_each_route_is_in_the_table_of_this_test(api: Operations) -> None:
    response = api.get(OPENAPI, role=None)
    assert response.status == 200, "the OpenAPI document requires no sign-in"
    described = {
        (method.upper(), path)
        for path, operations in response.json["paths"].items()
        for method in operations
    }
    own = {("GET", OPENAPI)}
    assert described == set(MIN_ROLE) | own, "a new route needs an entry in MIN_ROLE"


def test_the_document_names_the_roles_of_each_route(api: Operations) -> None:
    paths = api.get(OPENAPI, role=None).json["paths"]
    for (method, path), lowest in MIN_ROLE.items():
        operation = paths[path][method.lower()]
        assert operation["description"] == ROLE_TEXTS[lowest], (method, path)
        assert ("security" in operation) == (lowest is not None), (method, path)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_call_only_its_routes_and_those_of_lower_roles(
    api: Operations, role: str
) -> None:
    wrong = {}
    for (method, path), lowest in MIN_ROLE.items():
        response = send(api, method, path, role=role)
        code = response.json["error"]["code"]
        # An error about the request itself means that the role was sufficient.
        right = (
            code in ("invalid", "malformed") if covers(role, lowest)
            else (response.status, code) == (403, "forbidden") and UNSAID not in response.text
        )  # fmt: skip
        if not right:
            wrong[method, path] = response.text
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
def anonymous_headers(api: Operations) -> dict[str, dict[str, str]]:
    """Return headers that identify no user."""
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


def test_without_a_valid_token_every_route_responds_401_regardless_of_the_body(
    api: Operations, anonymous_headers: dict[str, dict[str, str]]
) -> None:
    wrong = {}
    for name, headers in anonymous_headers.items():
        for method, path in PROTECTED:
            response = send(api, method, path, role=None, headers=headers)
            right = (
                response.status == 401
                and response.headers.get("WWW-Authenticate") == "Bearer"
                and response.json["success"] is False
                and response.json["error"]["code"] == "not_signed_in"
                and UNSAID not in response.text
                and api.tokens["admin"] not in response.text
            )
            if not right:
                wrong[name, method, path] = response.text
    assert not wrong


def test_a_token_in_the_query_is_not_accepted(api: Operations) -> None:
    token = api.tokens["admin"]
    for name in ("token", "access_token", "authorization", "api_key"):
        for method, path in PROTECTED:
            response = send(api, method, path, role=None, query=f"{name}={token}")
            assert response.status == 401, (name, method, path)


def test_the_scheme_bearer_is_case_insensitive(api: Operations) -> None:
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
    ids=["wrong type", "too large", "not UTF-8", "empty"],
)
def test_missing_permission_is_reported_before_faults_of_the_body(
    api: Operations, body: bytes, headers: dict[str, str]
) -> None:
    for path in (CARI, ORDER, GATE):
        assert api.call("POST", path, body, role=None, headers=headers).status == 401
        assert api.call("POST", path, body, role="viewer", headers=headers).status == 403


def test_a_request_refused_for_its_role_changes_nothing(api: Operations) -> None:
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


def test_viewers_cannot_search_by_masked_fields(api: Operations) -> None:
    api.account(tax_number="10000000146")
    assert api.refused(403, "GET", CARI, role="viewer", tax_number="10000000146")
    assert api.refused(403, "GET", GATE, role="viewer", plate="34 ABC 1")
    assert api.data("GET", CARI, role="clerk", tax_number="10000000146")["items"]


def test_a_request_refused_for_its_role_is_logged_with_its_user(api: Operations) -> None:
    refused = [
        ("clerk", "POST", f"{CARI}/1/deactivate", f"{CARI}/{{id}}/deactivate"),
        ("viewer", "GET", f"{CARI}?tax_number=10000000146", CARI),
        ("viewer", "GET", f"{GATE}?plate=34ABC1", GATE),
    ]
    for role, method, path, endpoint in refused:
        response = api.call(method, path, role=role)
        assert response.status == 403, response.text
        request = response.headers["X-Request-ID"]
        about = {
            event["message"]: event
            for event in api.events()
            if event.get("http.request.id") == request
        }
        assert set(about) == {"user.forbidden", "request.answered"}
        event, line = about["user.forbidden"], about["request.answered"]
        assert (event["log.level"], event["user.name"]) == ("warning", role)
        assert (event["http.request.method"], event["aliaport.endpoint"]) == (method, endpoint)
        assert line["http.response.status_code"] == 403
        assert line["client.ip"] == "127.0.0.1"
        assert "10000000146" not in str(event)


def test_no_other_origin_may_read_or_send_from_a_browser(api: Operations) -> None:
    """Browsers send a cross-origin request with JSON only if a preflight allows it."""
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method, status in (("OPTIONS", 405), ("GET", 200)):
        response = api.call(method, CARI, headers=origin)
        assert response.status == status
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", [CARI, ORDER, GATE, "/auth/me", f"{CARI}/{{id}}"])
def test_head_is_like_get_without_the_body(api: Operations, path: str) -> None:
    path = path.replace("{id}", str(api.account()["id"]))
    for role, status in (("viewer", 200), (None, 401)):
        got = api.call("GET", path, role=role)
        head = api.call("HEAD", path, role=role)
        assert (got.status, head.status, head.text) == (status, status, "")
        assert got.headers["Cache-Control"] == "no-store"
        for name in ("Content-Type", "Content-Length", "Cache-Control", "WWW-Authenticate"):
            assert head.headers.get(name) == got.headers.get(name), name
    assert api.call("HEAD", f"{CARI}/999999", role="viewer").status == 404


@pytest.mark.parametrize("role", [None, "admin"])
def test_a_wrong_method_is_405_and_lists_the_allowed_ones(
    api: Operations, role: str | None
) -> None:
    allowed: dict[str, set[str]] = {OPENAPI: {"GET", "HEAD"}}
    for method, path in MIN_ROLE:
        allowed.setdefault(path, set()).update({method, "HEAD"} if method == "GET" else {method})
    for path, right in allowed.items():
        for method in METHODS - right:
            response = api.call(method, path.replace("{id}", "1"), role=role)
            assert response.status == 405, (method, path)
            assert set(response.headers["Allow"].split(",")) == right, (method, path)
            assert response.json["error"]["code"] == "method_not_allowed", (method, path)


@pytest.mark.parametrize("role", [None, "admin"])
def test_an_unknown_path_is_404_in_the_common_shape(api: Operations, role: str | None) -> None:
    paths = ["/auth", "/auth/", "/auth/login/", "/auth/users", "/api", f"{OPENAPI}/"]
    paths += [f"{CARI}{rest}" for rest in ("/", "//", "/1/", "/1/delete", "/1/status", "x", "%00")]
    paths += [f"{ORDER}/1/activate", f"{GATE}/1/history", "/api/CARI", f"/{CARI}", f"{CARI}/../x"]
    for path in paths:
        for method in ("GET", "POST", "DELETE"):
            response = api.call(method, path, role=role)
            assert response.status == 404, (method, path, response.text)
            assert response.json["success"] is False
            assert {"code", "message", "request_id", "trace_id"} == set(response.json["error"])
            assert response.json["error"]["code"] == "not_found"
