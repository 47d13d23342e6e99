"""The tables, as forward-only migrations."""

from aliaport.plugin import Context
from aliaport.postgres import Migration, migrate

COMPONENT = "currency_sync"
"""Name of the plugin in the database."""

_TABLES = """
CREATE TABLE aliaport_currency_bulletins (
    day date NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    number text NOT NULL,
    digest text NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (day, revision)
);
CREATE TABLE aliaport_currency_rates (
    day date NOT NULL,
    revision integer NOT NULL,
    code text NOT NULL CHECK (code ~ '^[A-Z]{3}$'),
    unit integer NOT NULL CHECK (unit >= 1),
    name text NOT NULL,
    name_en text NOT NULL,
    forex_buying numeric CHECK (forex_buying > 0),
    forex_selling numeric CHECK (forex_selling >= forex_buying),
    banknote_buying numeric CHECK (banknote_buying > 0),
    banknote_selling numeric CHECK (banknote_selling >= banknote_buying),
    cross_rate_usd numeric CHECK (cross_rate_usd > 0),
    cross_rate_other numeric CHECK (cross_rate_other > 0),
    jump_percent numeric,
    PRIMARY KEY (day, code, revision),
    FOREIGN KEY (day, revision) REFERENCES aliaport_currency_bulletins
);
COMMENT ON COLUMN aliaport_currency_rates.jump_percent IS
    'Change of forex_buying per unit since the bulletin before, where beyond the limit then set.';
CREATE TABLE aliaport_currency_gaps (
    day date PRIMARY KEY,
    reason text NOT NULL,
    first_asked timestamptz NOT NULL,
    last_asked timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 1
);
CREATE TABLE aliaport_currency_begin (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    day date NOT NULL
);
"""

MIGRATIONS = [Migration(1, "tables", _TABLES)]


async def prepare(context: Context) -> None:
    """Bring the tables up to date; any number of replicas may call this at once."""
    await migrate(context, COMPONENT, MIGRATIONS)
