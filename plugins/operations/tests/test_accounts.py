"""Accounts as callers see them."""

from tests.support.operations import CARI, Operations


def test_an_account_is_created_read_and_listed(api: Operations) -> None:
    made = api.account(title="Işık Çelik A.Ş.", tax_number="10000000146")
    assert api.data("GET", f"{CARI}/{made['id']}") == made
    assert [each["id"] for each in api.data("GET", CARI, q="ISIK celi")["items"]] == [made["id"]]
