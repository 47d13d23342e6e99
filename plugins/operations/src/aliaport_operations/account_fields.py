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
    """What the account's holder is to the port."""

    CUSTOMER = "customer"
    SUPPLIER = "supplier"
    BOTH = "both"


CURRENCIES = (
    *("TRY", "USD", "EUR", "GBP", "CHF", "JPY", "CNY", "RUB", "SAR", "AED", "QAR", "KWD", "AZN"),
    *("AUD", "BGN", "CAD", "DKK", "IRR", "KRW", "KZT", "NOK", "PKR", "RON", "SEK"),
)
"""The lira, and the currencies for which the Turkish central bank quotes a rate."""

Currency = Annotated[str, Field(json_schema_extra={"enum": list(CURRENCIES)})]


def _known(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError(f"is none of {', '.join(CURRENCIES)}")
    return code


def check_tax_number(text: str) -> str:
    """Return a tax or identity number with correct check digits. Raises ValueError."""
    try:
        return str((vkn if len(text) == 10 else tckimlik).validate(text))
    except ValidationError:
        raise ValueError("the check digits are wrong; look for a typing error") from None


TaxNumber = Annotated[
    str,
    StringConstraints(pattern=TAX_NUMBER),
    AfterValidator(check_tax_number),
    Field(
        description="Turkish tax number (10 digits) or identity number (11), check digits right.",
        examples=["10000000146"],
        json_schema_extra={"format": "tr-tax-number"},
    ),
]
KnownCurrency = Annotated[Currency, AfterValidator(_known)]


class ContactFields(Fields):
    """Whom to call."""

    person: PersonName | None = None
    phone: Phone | None = None
    email: Email | None = None


class NewAccount(Fields):
    """What an account consists of."""

    code: Code
    title: Title
    kind: Kind
    tax_number: TaxNumber | None = None
    currency: KnownCurrency = "TRY"
    contact: ContactFields = ContactFields()


class ChangedAccount(NewAccount):
    """The account's new state, whole; what is left out gets its default."""

    version: Version


class AccountVersion(Fields):
    """The state of the account that the caller has seen."""

    version: Version


class AccountsQuery(Fields):
    """Which accounts, in which order."""

    q: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        default=None,
        description="Words, or their beginnings, in code and title; case, accents and the dot of i "
        "do not matter.",
    )
    kind: Kind | None = None
    currency: KnownCurrency | None = None
    state: Literal["active", "deactivated"] | None = None
    tax_number: TaxNumber | None = Field(default=None, description="Not for viewers.")
    sort: Literal["code", "title"] = "code"
    limit: Limit = DEFAULT_LIMIT
    after: After | None = None


class Contact(BaseModel):
    """Whom to call; masked for viewers."""

    person: str | None
    phone: str | None
    email: str | None


class Account(BaseModel):
    """An account; its contact and tax number are masked for viewers."""

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
    """One page of accounts; `next` is null on the last one."""

    items: list[Account]
    next: str | None
