"""The tables, as forward-only migrations. The database itself enforces the invariants."""

from aliaport.plugin import Context
from aliaport.postgres import Migration, migrate

COMPONENT = "operations"
"""Name of the plugin in the migrations table and in connections."""

_USERS = """
CREATE TABLE aliaport_operations_users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT aliaport_operations_users_name UNIQUE
        CHECK (name ~ '^[a-z][a-z0-9._-]{1,31}$'),
    role text NOT NULL CHECK (role IN ('viewer', 'clerk', 'admin')),
    password_hash text NOT NULL,
    password_changed_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE TABLE aliaport_operations_sessions (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id bigint NOT NULL REFERENCES aliaport_operations_users,
    address text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
    ended_at timestamptz
);
CREATE INDEX aliaport_operations_sessions_user
    ON aliaport_operations_sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX aliaport_operations_sessions_last_used
    ON aliaport_operations_sessions (last_used_at, user_id);
CREATE TABLE aliaport_operations_sign_in_failures (
    key bytea PRIMARY KEY,
    failures integer NOT NULL CHECK (failures >= 0),
    since timestamptz NOT NULL
);
COMMENT ON TABLE aliaport_operations_sign_in_failures IS
    'Keys are hashes: a name that was typed may be a password by mistake.';
"""

_ACCOUNTS = """
CREATE TABLE aliaport_operations_accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT aliaport_operations_accounts_code UNIQUE
        CHECK (code ~ '^[A-Z0-9][A-Z0-9._-]{0,31}$'),
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    title_key text COLLATE "C" NOT NULL,
    words tsvector NOT NULL,
    kind text NOT NULL CHECK (kind IN ('customer', 'supplier', 'both')),
    tax_number text CHECK (tax_number ~ '^([0-9]{10}|[1-9][0-9]{10})$'),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    contact_person text CHECK (char_length(contact_person) BETWEEN 1 AND 100),
    contact_phone text CHECK (char_length(contact_phone) BETWEEN 5 AND 30),
    contact_email text CHECK (char_length(contact_email) BETWEEN 3 AND 254),
    deactivated_at timestamptz,
    version integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_by bigint NOT NULL REFERENCES aliaport_operations_users,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_by bigint NOT NULL REFERENCES aliaport_operations_users,
    changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN aliaport_operations_accounts.words IS
    'Words of code and title, folded by the application: no case, no accents, one letter i.';
COMMENT ON COLUMN aliaport_operations_accounts.title_key IS
    'The title in an own spelling whose order of bytes is that of the Turkish alphabet.';
CREATE INDEX aliaport_operations_accounts_title
    ON aliaport_operations_accounts (title_key, id);
CREATE INDEX aliaport_operations_accounts_words
    ON aliaport_operations_accounts USING gin (words) WITH (fastupdate = off);
CREATE INDEX aliaport_operations_accounts_tax_number
    ON aliaport_operations_accounts (tax_number) WHERE tax_number IS NOT NULL;
CREATE INDEX aliaport_operations_accounts_deactivated
    ON aliaport_operations_accounts (deactivated_at) WHERE deactivated_at IS NOT NULL;
"""

_WORK_ORDERS = """
CREATE TABLE aliaport_operations_transitions (
    from_status text NOT NULL,
    to_status text NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO aliaport_operations_transitions VALUES
    ('draft', 'planned'), ('draft', 'cancelled'),
    ('planned', 'in_progress'), ('planned', 'cancelled'),
    ('in_progress', 'done'), ('in_progress', 'cancelled');
CREATE TABLE aliaport_operations_work_orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES aliaport_operations_accounts,
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 4000),
    planned_for date,
    first_status text NOT NULL CHECK (first_status IN ('draft', 'planned')),
    status text NOT NULL
        CHECK (status IN ('draft', 'planned', 'in_progress', 'done', 'cancelled')),
    version integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_by bigint NOT NULL REFERENCES aliaport_operations_users,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_by bigint NOT NULL REFERENCES aliaport_operations_users,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX aliaport_operations_work_orders_account
    ON aliaport_operations_work_orders (account_id, id);
CREATE INDEX aliaport_operations_work_orders_status
    ON aliaport_operations_work_orders (status, id);
CREATE TABLE aliaport_operations_work_order_changes (
    work_order_id bigint NOT NULL REFERENCES aliaport_operations_work_orders,
    version integer NOT NULL CHECK (version >= 2),
    from_status text NOT NULL,
    to_status text NOT NULL,
    reason text NOT NULL DEFAULT '' CHECK (char_length(reason) <= 500),
    changed_by bigint NOT NULL REFERENCES aliaport_operations_users,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (work_order_id, version),
    FOREIGN KEY (from_status, to_status) REFERENCES aliaport_operations_transitions
);
CREATE FUNCTION aliaport_operations_guard_work_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> NEW.first_status THEN
            RAISE restrict_violation USING MESSAGE = 'a work order begins with its first status';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.first_status <> OLD.first_status OR NEW.version <> OLD.version + 1 THEN
        RAISE restrict_violation USING MESSAGE = 'a change raises the version by one';
    END IF;
    IF NEW.status <> OLD.status AND NOT EXISTS (
        SELECT FROM aliaport_operations_transitions
        WHERE (from_status, to_status) = (OLD.status, NEW.status)
    ) THEN
        RAISE restrict_violation USING MESSAGE = 'no such transition of a work order';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON aliaport_operations_work_orders
    FOR EACH ROW EXECUTE FUNCTION aliaport_operations_guard_work_order();
"""

_GATE_LOGS = """
CREATE TABLE aliaport_operations_gate_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    direction text NOT NULL CHECK (direction IN ('in', 'out')),
    plate text CHECK (plate ~ '^[A-Z0-9]{2,15}$'),
    driver text CHECK (char_length(driver) BETWEEN 1 AND 100),
    passed_at timestamptz NOT NULL,
    work_order_id bigint REFERENCES aliaport_operations_work_orders,
    corrects bigint CONSTRAINT aliaport_operations_gate_logs_corrects UNIQUE
        REFERENCES aliaport_operations_gate_logs
        CONSTRAINT aliaport_operations_gate_logs_corrects_older CHECK (corrects < id),
    created_by bigint NOT NULL REFERENCES aliaport_operations_users,
    created_at timestamptz NOT NULL DEFAULT now(),
    purged_at timestamptz,
    CHECK (passed_at <= created_at + interval '5 minutes'),
    CHECK ((plate IS NULL) = (purged_at IS NOT NULL)),
    CHECK (purged_at IS NULL OR driver IS NULL)
);
CREATE INDEX aliaport_operations_gate_logs_passed
    ON aliaport_operations_gate_logs (passed_at, id);
CREATE INDEX aliaport_operations_gate_logs_plate
    ON aliaport_operations_gate_logs (plate, passed_at, id) WHERE plate IS NOT NULL;
CREATE INDEX aliaport_operations_gate_logs_work_order
    ON aliaport_operations_gate_logs (work_order_id) WHERE work_order_id IS NOT NULL;
CREATE INDEX aliaport_operations_gate_logs_personal
    ON aliaport_operations_gate_logs (created_at) WHERE purged_at IS NULL;
CREATE FUNCTION aliaport_operations_guard_gate_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.purged_at IS NULL AND NEW.purged_at IS NOT NULL
       AND to_jsonb(NEW) - '{plate,driver,purged_at}'::text[]
           = to_jsonb(OLD) - '{plate,driver,purged_at}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE restrict_violation USING MESSAGE = 'gate logs are only added; write a correction';
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON aliaport_operations_gate_logs
    FOR EACH ROW EXECUTE FUNCTION aliaport_operations_guard_gate_log();
CREATE TRIGGER guard_all BEFORE TRUNCATE ON aliaport_operations_gate_logs
    FOR EACH STATEMENT EXECUTE FUNCTION aliaport_operations_guard_gate_log();
"""

_IDEMPOTENCY = """
CREATE TABLE aliaport_operations_idempotency_keys (
    user_id bigint NOT NULL REFERENCES aliaport_operations_users,
    key text COLLATE "C" NOT NULL CHECK (char_length(key) BETWEEN 1 AND 100),
    request_hash bytea NOT NULL,
    status smallint,
    -- Not jsonb, which has an order of names of its own: the answer is to be the same one.
    answer json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX aliaport_operations_idempotency_keys_created
    ON aliaport_operations_idempotency_keys (created_at);
"""

MIGRATIONS = [
    Migration(1, "users", _USERS),
    Migration(2, "accounts", _ACCOUNTS),
    Migration(3, "work_orders", _WORK_ORDERS),
    Migration(4, "gate_logs", _GATE_LOGS),
    Migration(5, "idempotency_keys", _IDEMPOTENCY),
]


async def prepare(context: Context) -> None:
    """Bring the tables up to date; replicas can do so at the same time."""
    await migrate(context, COMPONENT, MIGRATIONS)
