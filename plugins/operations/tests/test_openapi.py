"""Tests of the OpenAPI document: it is valid, complete, and schemathesis finds no deviation."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from aliaport_operations import openapi

from tests.support.operations import GATE, PASSWORD, Operations, serve
from tests.support.postgres import TcpPostgres

SUPPORT = Path(__file__).with_name("support")
DOCUMENT = "/api/openapi.json"
COUNTED = re.compile(
    r'aliaport_http_requests_total\{endpoint="(?P<endpoint>[^"]+)",'
    r'method="(?P<method>[^"]+)",status="(?P<status>[^"]+)"\} (?P<count>\S+)'
)

pytestmark = pytest.mark.computes
CORE = {"/", "/health", "/ready", "/status", "/status/{probe}", "/metrics"}


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    """Start a service that does not throttle sign-ins."""
    limits = ("FAILURES_PER_USER_AND_ADDRESS", "FAILURES_PER_ADDRESS", "FAILURES_PER_USER")
    environ = {f"ALIAPORT_APPS__OPERATIONS__{name}": "1000000" for name in limits}
    with serve(server, tmp_path_factory.mktemp("openapi") / "run", **environ) as operations:
        yield operations


@pytest.fixture(scope="module")
def document(api: Operations) -> dict[str, Any]:
    response = api.get(DOCUMENT, role=None)
    assert response.status == 200, response.text
    assert response.headers["Content-Type"].startswith("application/json")
    found: dict[str, Any] = response.json
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the described operations by method and path."""
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects within a JSON value."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            yield from objects(item)


def counted(api: Operations) -> dict[tuple[str, str, str], float]:
    """Return the numbers of requests in /metrics by method, path and status."""
    return {
        (found["method"], found["endpoint"], found["status"]): float(found["count"])
        for found in COUNTED.finditer(api.service.get("/metrics").text)
    }


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()
    for name, schema in document["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name


def test_each_reference_resolves_and_each_schema_is_used(document: dict[str, Any]) -> None:
    references = {item["$ref"] for item in objects(document) if "$ref" in item}
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references == schemas


def test_the_routes_of_the_service_match_the_document(
    api: Operations, document: dict[str, Any]
) -> None:
    # The service exports a counter for each of its routes from the start.
    routes = {(method, path) for method, path, status in counted(api) if status == "500"}
    assert {route for route in routes if route[1] not in CORE} == set(operations(document))


def test_each_operation_has_texts(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    for name, operation in found.items():
        assert operation["summary"], name
        assert operation["description"], name
        assert all(response["description"] for response in operation["responses"].values()), name


def test_no_request_contains_an_address_to_connect_to(document: dict[str, Any]) -> None:
    requests: list[Any] = [document["components"]["schemas"]]
    for operation in operations(document).values():
        requests.append({name: operation[name] for name in operation.keys() - {"responses"}})
    formats = {found["format"] for part in requests for found in objects(part) if "format" in found}
    assert formats == {"date", "date-time", "cursor", "plate", "tr-tax-number"}


def test_the_error_schema_lists_the_codes_of_the_source(document: dict[str, Any]) -> None:
    error = document["components"]["schemas"]["Error"]["properties"]["error"]
    listed = re.findall(
        r"(\d+): ((?:`[a-z_]+`(?:, )?)+)", error["properties"]["code"]["description"]
    )
    source = "".join(file.read_text() for file in Path(openapi.__file__).parent.glob("*.py"))
    raised = re.findall(r'Refusal\(\s*(\d+),\s*"([a-z_]+)"', source)
    of_the_service = {
        *(("404", "not_found"), ("405", "method_not_allowed"), ("422", "invalid")),
        *(("500", "internal_error"), ("503", "service_unavailable")),
    }
    assert set(raised) | of_the_service == {
        (status, code) for status, codes in listed for code in re.findall(r"[a-z_]+", codes)
    }


def facts(api: Operations) -> dict[str, Any]:
    """Return the facts for the hooks: tokens, and IDs of rows to refer to."""
    api.tokens["changing"] = api.token(api.add_user("changing", "viewer"))
    accounts = [api.account()["id"] for _ in range(8)]
    orders = [api.order(account_id=accounts[n % 8])["id"] for n in range(16)]
    entries = [
        api.data("POST", GATE, {"direction": "in", "plate": f"34 ABC {n}"})["id"] for n in range(16)
    ]
    rows = {"accounts": accounts, "orders": orders, "entries": entries}
    return {"url": api.url, "password": PASSWORD, "tokens": api.tokens} | rows


@pytest.mark.timeout(300)  # enough for a busy machine
def test_schemathesis_finds_no_deviation(
    api: Operations, document: dict[str, Any], tmp_path: Path
) -> None:
    known = facts(api)
    before = counted(api)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={SUPPORT / 'schemathesis.toml'}",
            "run",
            "--no-color",
            api.url + DOCUMENT,
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(SUPPORT),
            "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
            "OPERATIONS_UNDER_TEST": json.dumps(known),
        },
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    after = counted(api)
    faults = {key: count for key, count in after.items() if key[2] >= "500" and count}
    assert not faults, api.service.events("request.failed")
    # Every operation must have succeeded at least once, or the result means nothing.
    for (method, path), operation in operations(document).items():
        key = (method, path, min(operation["responses"]))
        assert after.get(key, 0) > before.get(key, 0), f"{key} was not reached:\n{done.stdout}"
