"""The description of the application for the service's OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from aliaport.apps import ERROR_SCHEMA, ApiDescription
from aliaport_currency_sync.bulletin import MAX_CURRENCIES, PRICES, VALUES
from aliaport_currency_sync.parameters import AMOUNT, CODE, DEFAULT_LIMIT, MAX_LIMIT, Basis

PREFIX = "/api/currency"

_NUMBER = r"^-?[0-9]+(\.[0-9]+)?$"
_CODE = {"type": "string", "pattern": f"^{CODE}$", "examples": ["USD"]}
_DAY = {"type": "string", "format": "date"}
_COUNT = {"type": "integer", "minimum": 1}
_VALUE = {"type": ["string", "null"], "pattern": _NUMBER}
_BULLETIN = {
    "date": _DAY | {"description": "Day of the bulletin."},
    "bulletin": {
        "type": ["string", "null"],
        "description": "Number of the bulletin, such as 2026/221; null in those of 2010.",
    },
    "revision": _COUNT | {"description": "Corrected bulletins have 2 or more."},
}
_FOUND = _BULLETIN | {
    "basis": {"enum": [*Basis]},
    "age_business_days": {
        "type": "integer",
        "minimum": 0,
        "description": "Business days after the bulletin's day, up to the last day whose bulletin "
        "could have been used: the date, or with `basis=published` the day before.",
    },
    "stale": {
        "type": "boolean",
        "description": "True if a newer bulletin is overdue: since 16:30 of its day in Istanbul.",
    },
}
_RATE = {
    "code": _CODE,
    "unit": _COUNT | {"description": "The rates are lira for so many units of the currency."},
    "name": {"type": "string"},
    "name_en": {"type": "string"},
    **dict.fromkeys(VALUES, _VALUE),
    "jump_percent": _VALUE
    | {"description": "Change since the business day before, where it is conspicuous."},
}
_QUOTE = {"code": _CODE, "unit": _COUNT, "value": {"type": "string", "pattern": _NUMBER}}


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_SCHEMAS = {
    "CurrencyRate": _closed(_RATE),
    "CurrencyBulletin": _closed(
        _FOUND
        | {"rates": {"type": "array", "items": {"$ref": "#/components/schemas/CurrencyRate"}}}
    ),
    "CurrencySeries": _closed(
        {
            "code": _CODE,
            "from": _DAY,
            "to": _DAY,
            "items": {"type": "array", "items": _closed(_BULLETIN | _RATE)},
            "next": {
                "type": ["string", "null"],
                "description": "Send it as `after` to get the next page; null on the last one.",
            },
        }
    ),
    "CurrencyConversion": _closed(
        _FOUND
        | {
            "amount": {"type": "string", "pattern": f"^{AMOUNT}$"},
            "from": _closed(_QUOTE),
            "to": _closed(_QUOTE),
            "rate": {"enum": [*PRICES]},
            "result": {"type": "string", "pattern": _NUMBER},
            "rounding": _closed({"places": _COUNT, "mode": {"const": "half_up"}}),
        }
    ),
}
_DATE_TEXT = (
    "The latest bulletin on or before this day, not in the future; by default today in Istanbul. "
    "A day's own bulletin is out at 15:30, and before then it is that of the business day before."
)
_BASIS_TEXT = (
    "`determined`: the bulletin of the day itself, which the bank determines at 15:30. "
    "`published`: the rates in force on the day, which are those determined on the business day "
    "before, as the Official Gazette publishes them; they do not change during the day."
)


def _parameter(
    name: str, schema: Mapping[str, Any], text: str, *, required: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": text,
        "schema": schema,
    }


_DATE = _parameter("date", _DAY, _DATE_TEXT)
_BASIS = _parameter("basis", {"enum": [*Basis], "default": Basis.DETERMINED}, _BASIS_TEXT)
_RETRY = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}


def _operation(
    name: str, summary: str, text: str, parameters: list[dict[str, Any]], *schemas: str
) -> dict[str, Any]:
    choices = [{"$ref": f"#/components/schemas/{schema}"} for schema in schemas]
    data = choices[0] if len(choices) == 1 else {"anyOf": choices}
    success = _closed({"success": {"const": True}, "data": data})
    errors = {
        404: "There is no such rate; see `nearest` for the nearest day with a bulletin",
        422: "A parameter is invalid; see `fields`",
        503: "Overloaded, or the database is not available; try again after `Retry-After` seconds",
    }
    responses: dict[str, Any] = {
        "200": {
            "description": "Success",
            "headers": {"ETag": {"required": True, "schema": {"type": "string"}}},
            "content": {"application/json": {"schema": success}},
        },
        "304": {"description": "Unchanged since the `ETag` in `If-None-Match`"},
    }
    for status, description in errors.items():
        responses[str(status)] = {
            "description": description,
            "headers": _RETRY if status == 503 else {},
            "content": {"application/json": {"schema": ERROR_SCHEMA}},
        }
    return {
        "get": {
            "operationId": f"get_api_currency_{name}",
            "summary": summary,
            "description": f"Requires no sign-in. {text}",
            "parameters": parameters,
            "responses": responses,
        }
    }


def describe() -> ApiDescription:
    """Return the description of the two routes."""
    rates = _operation(
        "rates",
        "Read the rates of a day, or the series of one currency",
        "With `from`, the response is a series: the rates of one currency by day, oldest first, "
        "in pages. It then takes exactly one `code`, and neither `date` nor `basis`.",
        [
            _DATE,
            _BASIS,
            _parameter(
                "code",
                {"type": "array", "items": _CODE, "maxItems": MAX_CURRENCIES},
                "The currencies to return; repeat it for several. By default all.",
            ),
            _parameter("from", _DAY, "First day of a series."),
            _parameter("to", _DAY, "Last day of a series; by default today in Istanbul."),
            _parameter(
                "limit",
                _COUNT | {"maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
                "Bulletins per page of a series.",
            ),
            _parameter(
                "after", _DAY, "`next` of the previous page of a series; omit it for the first one."
            ),
        ],
        "CurrencyBulletin",
        "CurrencySeries",
    )
    convert = _operation(
        "convert",
        "Convert an amount",
        "Calculates with exact fractions through the lira, and rounds once, half up, to 4 places.",
        [
            _parameter(
                "amount",
                {"type": "string", "pattern": f"^{AMOUNT}$"},
                "Amount in the currency `from`.",
                required=True,
            ),
            _parameter("from", _CODE, "Currency of the amount; TRY is the lira.", required=True),
            _parameter("to", _CODE, "Currency of the result; TRY is the lira.", required=True),
            _parameter(
                "rate",
                {"enum": [*PRICES], "default": PRICES[0]},
                "The kind of rate, the same for both currencies.",
            ),
            _DATE,
            _BASIS,
        ],
        "CurrencyConversion",
    )
    return ApiDescription(
        summary="Official exchange rates of the Turkish central bank: `/api/currency`.",
        paths={f"{PREFIX}/rates": rates, f"{PREFIX}/convert": convert},
        schemas=_SCHEMAS,
        error_codes={
            404: ("no_data",),
            503: ("database_unavailable", "statement_timeout", "overloaded"),
        },
        error_details={
            "parameter": {
                "type": "string",
                "deprecated": True,
                "description": "Name of the invalid parameter; use `fields` (`invalid`).",
            },
            "nearest": {
                "type": "string",
                "format": "date",
                "description": "The nearest day with a bulletin (`no_data`).",
            },
        },
    )
