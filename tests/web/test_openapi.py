"""Tests the one OpenAPI document, and that all applications report errors in the same way."""

import json
import re
from typing import Any

import pytest
import schemathesis
from aiohttp import web

from aliaport.apps import ApiDescription, App, invalid_fields
from aliaport.host.discovery import RejectedError
from aliaport.testing import make_context
from aliaport.web.openapi import OpenApi, description_of
from tests.support.fixtures import Launch

DOCUMENT = "/api/openapi.json"
ITEM = {"get": {"responses": {"200": {"description": "Success"}}}}


def described(path: str, **parts: Any) -> ApiDescription:
    return ApiDescription(summary=f"About {path}.", paths={path: ITEM}, **parts)


def app(description: object) -> App:
    return App(
        prefix="/api/shelves",
        create=lambda context, options: web.Application(),
        describe=lambda: description,  # type: ignore[arg-type,return-value]
    )


def test_applications_share_one_document_and_one_dialect_of_errors(
    launch: Launch, database: str
) -> None:
    service = launch(allow=("currency_sync", "operations"), environ={"DATABASE_URL": database})
    response = service.get(DOCUMENT)
    assert response.status == 200
    assert response.headers["Cache-Control"] == "public, max-age=60"
    document = response.json
    schemathesis.openapi.from_dict(document).validate()
    assert {"/api/currency/rates", "/api/cari", "/auth/login", DOCUMENT} <= set(document["paths"])
    # The service exports a counter for each of its routes from the start.
    page = service.get("/metrics").text
    routes = set(re.findall(r'endpoint="((?:/api|/auth)[^"]*)",method="[A-Z]+",status="500"', page))
    assert routes == set(document["paths"])
    error = document["components"]["schemas"]["Error"]["properties"]["error"]
    for code in ("`invalid`", "`no_data`", "`version_conflict`"):
        assert code in error["properties"]["code"]["description"]
    assert {"nearest", "changed_by", "fields"} <= set(error["properties"])
    bad = [
        service.get("/api/currency/convert?amount=x&from=USD&to=TRY"),
        service.get("/api/currency/rates?nothing=1"),
        service.get("/auth/login", method="POST", headers={"Content-Type": "application/json"}),
    ]
    assert [found.json["error"]["code"] for found in bad] == ["invalid", "invalid", "malformed"]
    for found in bad[:2]:
        assert found.status == 422
        (fault,) = found.json["error"]["fields"]
        assert found.json["error"]["message"] == f"{fault['path']}: {fault['message']}"
    assert service.get(DOCUMENT, method="HEAD").status == 200
    assert service.get(DOCUMENT, method="POST").status == 405
    assert service.get("/api/nothing").status == 404


def test_without_applications_the_document_describes_itself() -> None:
    document = json.loads(OpenApi(make_context("web").log).document([]))
    assert list(document["paths"]) == [DOCUMENT]
    schemathesis.openapi.from_dict(document).validate()


def test_a_description_that_contradicts_another_is_left_out() -> None:
    context = make_context("web")
    openapi = OpenApi(context.log)
    first = ("first", described("/a", schemas={"Item": {"type": "string"}}))
    same = ("same", described("/b", schemas={"Item": {"type": "string"}}))
    other = ("other", described("/c", schemas={"Item": {"type": "integer"}}))
    document = json.loads(openapi.document([first, same, other]))
    assert sorted(document["paths"]) == ["/a", DOCUMENT, "/b"]
    assert document["components"]["schemas"]["Item"] == {"type": "string"}
    assert json.loads(openapi.document([other]))["components"]["schemas"]["Item"] == {
        "type": "integer"
    }


def test_codes_of_errors_are_merged() -> None:
    codes = {404: ("gone",), 422: ("invalid",)}
    document = json.loads(
        OpenApi(make_context("web").log).document([("a", described("/a", error_codes=codes))])
    )
    error = document["components"]["schemas"]["Error"]["properties"]["error"]
    assert "404: `not_found`, `gone`." in error["properties"]["code"]["description"]
    assert "422: `invalid`." in error["properties"]["code"]["description"]


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ({}, "describe() returned dict, not an ApiDescription"),
        (described("/api/desks"), "path /api/desks, which the application does not declare"),
        (described("/api/shelves", schemas={"Item": {1}}), "what JSON cannot express"),
    ],
)
def test_a_wrong_description_is_rejected(description: object, reason: str) -> None:
    with pytest.raises(RejectedError) as rejected:
        description_of(app(description))
    assert reason in rejected.value.rejection.reason
    assert rejected.value.rejection.stage == "declare"


def test_an_application_need_not_describe_itself() -> None:
    assert (
        description_of(App(prefix="/x", create=lambda context, options: web.Application())) is None
    )


def test_many_invalid_fields_are_one_error() -> None:
    faults = [{"path": f"body.f{number}", "message": "is missing"} for number in range(30)]
    refusal = invalid_fields(faults, hint="x")
    assert (refusal.status, refusal.code) == (422, "invalid")
    assert refusal.message == "body.f0: is missing (and 29 more)"
    assert (len(refusal.details["fields"]), refusal.details["hint"]) == (20, "x")
