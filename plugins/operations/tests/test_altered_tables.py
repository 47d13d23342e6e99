"""Tables that are altered while the service runs, as the next version's migrations do."""

from typing import Any

from tests.support.operations import CARI, GATE, ORDER, Operations
from tests.support.service import Response

TABLES = [
    f"aliaport_operations_{name}" for name in ("users", "accounts", "work_orders", "gate_logs")
]


def put_account(api: Operations, account: Any) -> Response:
    """Write an account as it is; a read would prepare the statements again."""
    fields = ("code", "title", "kind", "tax_number", "currency", "contact", "version")
    return api.call("PUT", f"{CARI}/{account['id']}", {name: account[name] for name in fields})


def put_order(api: Operations, order: Any) -> Response:
    body = {"version": order["version"], "title": "Yükleme", "description": "", "planned_for": None}
    return api.call("PUT", f"{ORDER}/{order['id']}", body)


def test_a_column_that_is_added_or_dropped_fails_no_request(api: Operations) -> None:
    account, order = api.account(), api.order()
    entry = {"direction": "in", "plate": "34 ABC 123"}
    for change in ("ADD COLUMN later text", "DROP COLUMN later", "ADD COLUMN later integer"):
        for _ in range(2):
            account = put_account(api, account).json["data"]
            order = put_order(api, order).json["data"]
            api.data("POST", GATE, entry)
        api.sql(";".join(f"ALTER TABLE {table} {change}" for table in TABLES))
        responses = [
            put_account(api, account),
            put_order(api, order),
            api.call("POST", GATE, entry),
        ]
        assert [response.status for response in responses] == [200, 200, 201]
        account, order = (response.json["data"] for response in responses[:2])


def test_a_column_whose_type_changes_costs_at_most_a_retry(api: Operations) -> None:
    account = api.account()
    seen = set()
    for kind in ("varchar(500)", "text"):
        account = put_account(api, put_account(api, account).json["data"]).json["data"]
        api.sql(f"ALTER TABLE aliaport_operations_accounts ALTER title TYPE {kind}")
        for _ in range(12):
            response = put_account(api, account)
            assert response.status in (200, 503), response.text
            seen.add(response.status)
            if response.status == 200:
                account = response.json["data"]
            else:
                assert response.headers["Retry-After"] == "2"
        assert response.status == 200
    assert 503 in seen, "the prepared statement was invalid"
