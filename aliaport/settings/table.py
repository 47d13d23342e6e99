"""The base of all tables of settings."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A frozen table of options that rejects unknown keys and shows no values in its errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )
