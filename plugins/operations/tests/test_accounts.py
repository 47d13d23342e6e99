"""Tests of the routes of accounts."""

import unicodedata
import uuid
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.operations import CARI, Operations

VKN, TCKN = "1234567890", "10000000146"
WHOLE = {
    "kind": "both",
    "tax_number": VKN,
    "currency": "USD",
    "contact": {
        "person": "Deneme Kişi",
        "phone": "+90 (212) 555 00-00",
        "email": "deneme@example.com",
    },
}


def new_code() -> str:
    return f"T-{uuid.uuid4().hex[:10].upper()}"


def body_of(account: Any, **changes: Any) -> Any:
    """Return the body of a PUT that makes only these changes."""
    fields = ("code", "title", "kind", "tax_number", "currency", "contact", "version")
    return {name: account[name] for name in fields} | changes


def fields_of(error: Any) -> dict[str, str]:
    assert error["code"] == "invalid"
    return {field["path"]: field["message"] for field in error["fields"]}


def test_an_account_is_created_read_and_listed(api: Operations) -> None:
    created = api.account(title="Işık Çelik A.Ş.", tax_number=TCKN)
    assert api.data("GET", f"{CARI}/{created['id']}") == created
    assert [account["id"] for account in api.data("GET", CARI, q="ISIK celi")["items"]] == [
        created["id"]
    ]


def test_all_sent_fields_are_stored_with_author_and_time(api: Operations) -> None:
    code = new_code()
    response = api.call("POST", CARI, {"code": code, "title": "Deneme 1", **WHOLE})
    assert response.status == 201, response.text
    created = response.json["data"]
    assert response.headers["Location"] == f"{CARI}/{created['id']}"
    assert api.data("GET", response.headers["Location"]) == created
    assert created["created_at"] == created["changed_at"]
    assert {
        name: created[name] for name in created if name not in ("id", "created_at", "changed_at")
    } == {
        "code": code,
        "title": "Deneme 1",
        **WHOLE,
        "active": True,
        "version": 1,
        "created_by": "clerk",
        "changed_by": "clerk",
    }


def test_omitted_fields_get_their_defaults(api: Operations) -> None:
    created = api.account()
    assert created["currency"] == "TRY"
    assert created["tax_number"] is None
    assert created["contact"] == {"person": None, "phone": None, "email": None}


def test_a_code_is_unique(api: Operations) -> None:
    first, second = api.account(), api.account()
    body = {"code": first["code"], "title": "Deneme 2", "kind": "customer"}
    error = api.refused(409, "POST", CARI, body)
    assert error["code"] == "code_taken"
    assert first["code"] in error["message"]
    error = api.refused(409, "PUT", f"{CARI}/{second['id']}", body_of(second, code=first["code"]))
    assert error["code"] == "code_taken"
    assert api.data("GET", f"{CARI}/{second['id']}") == second


@pytest.mark.parametrize("number", [VKN, TCKN, "0000000019", "9999999994", "98765432150"])
def test_a_valid_tax_or_identity_number_is_accepted(api: Operations, number: str) -> None:
    assert api.account(tax_number=number)["tax_number"] == number


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("1234567891", "check digits are wrong"),
        ("2134567890", "check digits are wrong"),
        ("10000000147", "check digits are wrong"),
        ("10000000156", "check digits are wrong"),
        ("01000000146", "must have 10 digits"),
        ("123456789", "must have 10 digits"),
        ("123456789012", "must have 10 digits"),
        ("12345 7890", "must have 10 digits"),
        ("١٢٣٤٥٦٧٨٩٠", "must have 10 digits"),
        ("1234567890\n", "must have 10 digits"),
        ("", "must have 10 digits"),
    ],
)
def test_an_invalid_tax_number_is_refused_and_not_echoed(
    api: Operations, number: str, message: str
) -> None:
    body = {"code": new_code(), "title": "Deneme 3", "kind": "customer", "tax_number": number}
    response = api.call("POST", CARI, body)
    assert response.status == 422
    assert message in fields_of(response.json["error"])["body.tax_number"]
    assert len(number) < 5 or number not in response.text
    assert api.sql(f"SELECT FROM aliaport_operations_accounts WHERE code = '{body['code']}'") == ""


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("code", "", "code"),
        ("code", "T-" + "0" * 31, "code"),
        ("code", "t-1", "code"),
        ("code", "-1", "code"),
        ("code", "Ç1", "code"),
        ("code", "A1\n", "code"),
        ("title", "", "title"),
        ("title", " \u00a0\u3000 ", "title"),
        ("title", "a" * 201, "title"),
        ("title", "a\tb", "title"),
        ("title", "a\x00b", "title"),
        # NFC turns each of these letters into two.
        ("title", "\u0958" * 101, "title"),
        ("title", None, "title"),
        ("kind", "enemy", "kind"),
        ("kind", "CUSTOMER", "kind"),
        ("currency", "XXX", "currency"),
        ("currency", "try", "currency"),
        ("currency", "", "currency"),
        ("contact", None, "contact"),
        ("contact", {"person": ""}, "contact.person"),
        ("contact", {"person": "a" * 101}, "contact.person"),
        ("contact", {"phone": "1234"}, "contact.phone"),
        ("contact", {"phone": "call me"}, "contact.phone"),
        ("contact", {"phone": "1" * 31}, "contact.phone"),
        ("contact", {"phone": "+" + "1" * 30}, "contact.phone"),
        ("contact", {"email": "nobody"}, "contact.email"),
        ("contact", {"email": "a@b"}, "contact.email"),
        ("contact", {"email": "a@" + "b" * 250 + ".tr"}, "contact.email"),
        ("contact", {"fax": "1"}, "contact.fax"),
        ("id", 1, "id"),
        ("active", False, "active"),
    ],
)
def test_an_invalid_field_is_reported_with_its_path(
    api: Operations, field: str, value: Any, path: str
) -> None:
    body = {"code": new_code(), "title": "Deneme 4", "kind": "customer", field: value}
    assert list(fields_of(api.refused(422, "POST", CARI, body))) == [f"body.{path}"]


@pytest.mark.parametrize("phone", ["12345", "1" * 30, "+" + "1" * 29])
def test_phone_numbers_of_5_to_30_characters_are_accepted(api: Operations, phone: str) -> None:
    assert api.account(contact={"phone": phone})["contact"]["phone"] == phone


def test_all_invalid_fields_are_reported_together(api: Operations) -> None:
    body = {"title": "", "kind": "enemy", "contact": {"email": "nobody", "phone": 1}}
    error = api.refused(422, "POST", CARI, body)
    assert set(fields_of(error)) == {
        *("body.code", "body.title", "body.kind", "body.contact.email", "body.contact.phone")
    }
    assert "(and 4 more)" in error["message"]


@pytest.mark.parametrize("code", ["0", "A.B-C_D", "Z" * 32])
def test_codes_of_all_allowed_forms_are_accepted(api: Operations, code: str) -> None:
    assert api.account(code=code)["code"] == code


@pytest.mark.parametrize(
    "title",
    [
        *("İ" * 200, "ı" * 200, "ş" * 200, "𝕬" * 200, "ﷺ" * 200, "㌖" * 200, "漢" * 200),
        "".join(chr(0x3300 + number % 88) for number in range(0, 1400, 7)),
        "'; DROP TABLE aliaport_operations_accounts; --",
        "a",
    ],
)
def test_titles_up_to_the_limit_are_stored_and_listed_page_by_page(
    api: Operations, title: str
) -> None:
    created = [api.account(title=title, currency="SEK") for _ in range(2)]
    assert {account["title"] for account in created} == {unicodedata.normalize("NFC", title)}
    wanted = {account["id"] for account in created}
    for sort in ("code", "title"):
        seen: set[int] = set()
        query: dict[str, Any] = {"sort": sort, "currency": "SEK", "limit": 1}
        while True:
            page = api.data("GET", CARI, **query)
            seen |= {account["id"] for account in page["items"]}
            if page["next"] is None:
                break
            query["after"] = page["next"]
        assert wanted <= seen, sort


def test_a_title_is_stored_composed_and_stripped(api: Operations) -> None:
    created = api.account(title=f"  {unicodedata.normalize('NFD', 'Çiğli Gülü')}\u00a0")
    assert created["title"] == "Çiğli Gülü"
    person = unicodedata.normalize("NFD", "Ömür Ünlü")
    assert api.account(contact={"person": person})["contact"]["person"] == "Ömür Ünlü"


def test_a_change_replaces_the_whole_account(api: Operations) -> None:
    created = api.account(**WHOLE)
    body = {"code": new_code(), "title": "Deneme 5", "kind": "supplier", "version": 1}
    changed = api.data("PUT", f"{CARI}/{created['id']}", body, role="admin")
    assert changed == created | body | {
        "tax_number": None,
        "currency": "TRY",
        "contact": {"person": None, "phone": None, "email": None},
        "version": 2,
        "changed_by": "admin",
        "changed_at": changed["changed_at"],
    }
    assert changed["changed_at"] > created["changed_at"]
    assert api.data("GET", f"{CARI}/{created['id']}") == changed


def test_a_changed_account_is_found_by_its_new_words_only(api: Operations) -> None:
    old, new = (f"w{uuid.uuid4().hex}" for _ in range(2))
    created = api.account(title=old)
    api.data("PUT", f"{CARI}/{created['id']}", body_of(created, title=new))
    assert api.data("GET", CARI, q=old)["items"] == []
    assert [account["id"] for account in api.data("GET", CARI, q=new)["items"]] == [created["id"]]


@pytest.mark.parametrize("version", [1, 3, 2**31 - 1])
def test_an_edit_of_another_version_is_refused_and_names_the_current_author(
    api: Operations, version: int
) -> None:
    created = api.account()
    path = f"{CARI}/{created['id']}"
    newest = api.data("PUT", path, body_of(created, title="Deneme 6"), role="admin")
    response = api.call("PUT", path, body_of(created, title="Deneme 7", version=version))
    assert response.status == 409
    error = response.json["error"]
    assert error["code"] == "version_conflict"
    assert error["version"] == 2
    assert error["changed_by"] == "admin"
    assert "admin changed this account first" in error["message"]
    assert error["changed_at"].replace("+00:00", "Z") == newest["changed_at"]
    assert api.data("GET", path) == newest


@pytest.mark.parametrize("version", [0, -1, 2**31, "1", 1.5, True, None])
def test_a_version_is_a_positive_integer(api: Operations, version: Any) -> None:
    created = api.account()
    error = api.refused(422, "PUT", f"{CARI}/{created['id']}", body_of(created, version=version))
    assert list(fields_of(error)) == ["body.version"]


def test_a_change_without_a_version_is_refused(api: Operations) -> None:
    created = api.account()
    body = {name: value for name, value in body_of(created).items() if name != "version"}
    error = api.refused(422, "PUT", f"{CARI}/{created['id']}", body)
    assert fields_of(error) == {"body.version": "is missing"}


def test_deactivation_and_activation_are_recorded(api: Operations) -> None:
    created = api.account()
    path = f"{CARI}/{created['id']}"
    off = api.data("POST", f"{path}/deactivate", {"version": 1}, role="admin")
    assert off == created | {
        "active": False,
        "version": 2,
        "changed_by": "admin",
        "changed_at": off["changed_at"],
    }
    assert api.data("GET", path) == off
    on = api.data("POST", f"{path}/activate", {"version": 2}, role="admin")
    assert (on["active"], on["version"]) == (True, 3)
    recorded = [
        (event["message"], event["user"])
        for event in api.service.events()
        if event.get("account") == created["code"] and event["message"].startswith("account.")
    ]
    assert recorded == [("account.deactivated", "admin"), ("account.activated", "admin")]


@pytest.mark.parametrize(
    ("action", "word"), [("deactivate", "deactivated"), ("activate", "active")]
)
def test_a_repeated_activation_or_deactivation_is_refused(
    api: Operations, action: str, word: str
) -> None:
    created = api.account()
    path = f"{CARI}/{created['id']}"
    version = 1
    if action == "deactivate":
        version = api.data("POST", f"{path}/deactivate", {"version": 1}, role="admin")["version"]
    error = api.refused(409, "POST", f"{path}/{action}", {"version": version}, role="admin")
    assert (error["code"], error["message"]) == ("already", f"the account is already {word}")


def test_a_deactivation_of_an_old_version_is_refused_and_not_recorded(api: Operations) -> None:
    created = api.account()
    path = f"{CARI}/{created['id']}"
    api.data("PUT", path, body_of(created, title="Deneme 8"))
    error = api.refused(409, "POST", f"{path}/deactivate", {"version": 1}, role="admin")
    assert (error["code"], error["changed_by"], error["version"]) == (
        "version_conflict",
        "clerk",
        2,
    )
    assert api.data("GET", path)["active"] is True
    assert created["code"] not in {event.get("account") for event in api.service.events()}


def test_lists_are_filtered_by_state_kind_and_currency_together(api: Operations) -> None:
    mark = f"w{uuid.uuid4().hex}"
    created = {
        (kind, currency): api.account(title=mark, kind=kind, currency=currency)
        for kind in ("customer", "supplier", "both")
        for currency in ("EUR", "GBP")
    }
    gone = created["both", "GBP"]
    api.data("POST", f"{CARI}/{gone['id']}/deactivate", {"version": 1}, role="admin")

    def listed(**query: str) -> set[str]:
        return {account["code"] for account in api.data("GET", CARI, q=mark, **query)["items"]}

    assert listed() == {account["code"] for account in created.values()}
    assert listed(kind="customer", currency="EUR") == {created["customer", "EUR"]["code"]}
    assert listed(state="deactivated") == {gone["code"]}
    assert listed(state="active") == listed() - {gone["code"]}
    assert listed(state="active", kind="both") == {created["both", "EUR"]["code"]}
    assert listed(state="active", kind="both", currency="GBP") == set()


def test_clerks_find_an_account_by_its_tax_number(api: Operations) -> None:
    created = api.account(tax_number="9876543217")
    assert [
        account["id"] for account in api.data("GET", CARI, tax_number="9876543217")["items"]
    ] == [created["id"]]
    error = api.refused(422, "GET", CARI, tax_number="9876543210")
    assert list(fields_of(error)) == ["query.tax_number"]


@pytest.mark.parametrize(
    "number", ["999999999", "0", "9007199254740993", "9" * 17, "1x", "-1", "١"]
)
def test_an_unknown_id_is_404(api: Operations, number: str) -> None:
    path = f"{CARI}/{quote(number)}"
    body = {"code": new_code(), "title": "Deneme 9", "kind": "customer", "version": 1}
    assert api.refused(404, "GET", path)["code"] == "not_found"
    assert api.refused(404, "PUT", path, body)["code"] == "not_found"
    for action in ("deactivate", "activate"):
        error = api.refused(404, "POST", f"{path}/{action}", {"version": 1}, role="admin")
        assert error["code"] == "not_found"
