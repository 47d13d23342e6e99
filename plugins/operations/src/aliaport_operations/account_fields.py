"""The fields of accounts, in requests and in responses."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from stdnum.exceptions import ValidationError
from stdnum.tr import tckimlik, vkn

from aliaport_operations.paging import DEFAULT_LIMIT, After, Limit
from aliaport_operations.parsing import Fields
from aliaport_operations.text import TAX_NUMBER, Code, Email, PersonName, Phone, Title, Version


class Kind(StrEnum):
    """Business relation to the port: customer, supplier or both."""

    CUSTOMER = "customer"
    SUPPLIER = "supplier"
    BOTH = "both"


CURRENCIES = (
    *("TRY", "USD", "EUR", "GBP", "CHF", "JPY", "CNY", "RUB", "SAR", "AED", "QAR", "KWD", "AZN"),
    *("AUD", "BGN", "CAD", "DKK", "IRR", "KRW", "KZT", "NOK", "PKR", "RON", "SEK"),
)
"""The lira, and the currencies for which the Turkish central bank quotes a rate."""

Currency = Annotated[str, Field(json_schema_extra={"enum": list(CURRENCIES)})]


def _check_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError(f"must be one of {', '.join(CURRENCIES)}")
    return code


def check_tax_number(text: str) -> str:
    """Return a tax or identity number with correct check digits. Raises ValueError."""
    try:
        return str((vkn if len(text) == 10 else tckimlik).validate(text))
    except ValidationError:
        raise ValueError("the check digits are wrong; look for a typo") from None


TaxNumber = Annotated[
    str,
    StringConstraints(pattern=TAX_NUMBER),
    AfterValidator(check_tax_number),
    Field(
        description="Turkish tax number (10 digits) or identity number (11 digits).",
        examples=["10000000146"],
        json_schema_extra={"format": "tr-tax-number"},
    ),
]
KnownCurrency = Annotated[Currency, AfterValidator(_check_currency)]


class ContactFields(Fields):
    """The contact of an account."""

    person: PersonName | None = None
    phone: Phone | None = None
    email: Email | None = None


class NewAccount(Fields):
    """A new account."""

    code: Code
    title: Title
    kind: Kind
    tax_number: TaxNumber | None = None
    currency: KnownCurrency = "TRY"
    contact: ContactFields = ContactFields()


class ChangedAccount(NewAccount):
    """The complete new state of an account; omitted fields get their defaults."""

    version: Version


class AccountVersion(Fields):
    """The version of an account to activate or deactivate."""

    version: Version


class AccountsQuery(Fields):
    """Filters, order and page of the list of accounts."""

    q: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        default=None,
        description="Words in code and title, or their beginnings, in any order. Case, accents and "
        "the dot of i do not matter.",
    )
    kind: Kind | None = None
    currency: KnownCurrency | None = None
    state: Literal["active", "deactivated"] | None = None
    tax_number: TaxNumber | None = Field(
        default=None, description="Tax or identity number. Viewers get 403."
    )
    sort: Literal["code", "title"] = "code"
    limit: Limit = DEFAULT_LIMIT
    after: After | None = None


class Contact(BaseModel):
    """The contact of an account, masked for viewers."""

    person: str | None
    phone: str | None
    email: str | None


class Account(BaseModel):
    """An account. Contact and tax number are masked for viewers."""

    id: int
    code: str
    title: str
    kind: Kind
    tax_number: str | None
    currency: str
    contact: Contact
    active: bool
    version: int
    created_by: str
    created_at: datetime
    changed_by: str
    changed_at: datetime


class AccountPage(BaseModel):
    """One page of accounts; `next` is null on the last page."""

    items: list[Account]
    next: str | None
