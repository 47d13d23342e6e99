"""The keys after the `?` of a database URL: libpq's are used or ignored, others are refused."""

import difflib
import re
from collections.abc import Mapping

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SYSTEM_CERTIFICATES = "system"
"""The value of sslrootcert that stands for the certificate authorities of this machine."""

_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_SWITCH = ("0", "1")

_CHOICES: dict[str, tuple[str, ...]] = {
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "target_session_attrs": (
        *("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    ),
    "load_balance_hosts": ("disable", "random"),
    "gsslib": ("gssapi", "sspi"),
    "gssencmode": ("disable", "prefer"),
    "channel_binding": ("disable", "prefer", "require"),
    "sslcertmode": ("disable", "allow"),
    "keepalives": _SWITCH,
    "sslcompression": _SWITCH,
    "sslsni": _SWITCH,
    "gssdelegation": _SWITCH,
}
_INSTEAD = {
    ("sslmode", "yes"): "require",
    ("sslmode", "true"): "require",
    ("sslmode", "on"): "require",
    ("sslmode", "1"): "require",
    ("sslmode", "no"): "disable",
    ("sslmode", "false"): "disable",
    ("sslmode", "off"): "disable",
    ("sslmode", "0"): "disable",
    ("sslmode", "no-verify"): "require",
    ("target_session_attrs", "master"): "primary",
    ("target_session_attrs", "slave"): "standby",
    ("target_session_attrs", "replica"): "standby",
    ("target_session_attrs", "rw"): "read-write",
}
_NUMBERS = frozenset(
    (
        *("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        "tcp_user_timeout",
    )
)

USED = frozenset(
    (
        *("host", "port", "user", "password", "dbname", "database", "passfile", "service"),
        *("servicefile", "sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey"),
        *("sslpassword", "sslcrl", "ssl_min_protocol_version", "ssl_max_protocol_version"),
        *("target_session_attrs", "load_balance_hosts", "connect_timeout", "application_name"),
        *("options", "krbsrvname", "gsslib"),
    )
)
"""Keys of libpq that have the meaning that they have there; `database` stands for dbname."""

IGNORED = frozenset(
    (
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("tcp_user_timeout", "gssencmode", "gssdelegation", "channel_binding", "client_encoding"),
        *("fallback_application_name", "sslcompression", "sslsni", "sslcertmode"),
        *("sslkeylogfile", "min_protocol_version", "max_protocol_version"),
    )
)
"""Keys of libpq without effect here: a URL that also psql and other programs read may have them."""

SERVER_SETTINGS = frozenset(
    (
        *("search_path", "timezone", "TimeZone", "datestyle", "DateStyle", "role", "lock_timeout"),
        *("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"),
        *("default_transaction_isolation", "default_transaction_read_only", "work_mem", "jit"),
        *("synchronous_commit", "default_tablespace", "temp_tablespaces", "plan_cache_mode"),
    )
)
"""Settings of a session that the URL may name. psql does not read them: it needs `options`."""

REFUSED = {
    "hostaddr": "write the address in place of the host",
    "require_auth": "it is not supported",
    "requirepeer": "it is not supported",
    "replication": "replication connections are not supported",
    "sslcrldir": "put the list of revoked certificates into one file, and name it with sslcrl",
    "scram_client_key": "it is not supported; give the password",
    "scram_server_key": "it is not supported; give the password",
    "requiressl": "use sslmode=require",
    "pgbouncer": "it is an option of Prisma; nothing needs it here",
    "schema": "it is an option of Prisma; use options=-c%20search_path%3D<schema>",
    "currentSchema": "it is an option of JDBC; use options=-c%20search_path%3D<schema>",
    "connection_limit": "it is an option of Prisma; set pool_size in the table of the application",
    "pool_timeout": "it is an option of Prisma; set acquire_timeout in the application's table",
    "pool": "it is an option of Rails; set pool_size in the table of the application",
    "socket_timeout": "it is an option of Prisma; set statement_timeout in the table of the "
    "application",
    "statement_cache_size": "it is an option of Prisma and of drivers; nothing needs it here",
    "prepared_statements": "it is an option of Rails; nothing needs it here",
    "prepareThreshold": "it is an option of JDBC; nothing needs it here",
    "sslaccept": "it is an option of Prisma; use sslmode=verify-full, or sslmode=require",
    "sslidentity": "it is an option of Prisma; use sslcert and sslkey",
    "ssl": "use sslmode=require or sslmode=disable",
    "ssl_mode": "use sslmode",
    "sslMode": "use sslmode",
    "sslfactory": "it is an option of JDBC; use sslmode",
    "uselibpqcompat": "it is an option of node-postgres; sslmode has libpq's meaning here",
    "loginTimeout": "it is an option of JDBC; use connect_timeout",
    "ApplicationName": "use application_name",
    "targetServerType": "it is an option of JDBC; use target_session_attrs",
    "encoding": "remove it; UTF-8 is always used",
    "charset": "remove it; UTF-8 is always used",
}
"""Keys that cannot be ignored, and those of other drivers, with what to do."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")


def check_option(key: str, value: str, *, nameable: bool = True) -> None:
    """Raise ValueError unless the key is known and its value is allowed.

    The error shows no value. It shows an unknown key only if `nameable`: it may be a part of a
    password with a raw `&`.
    """
    if key in REFUSED:
        raise ValueError(f"has the option {key}, which cannot be used: {REFUSED[key]}")
    known = key in USED or key in IGNORED or key in SERVER_SETTINGS
    if not known and not (nameable and _NAME.fullmatch(key) and "." in key):
        raise ValueError(_unknown(key, nameable=nameable))
    choices = _CHOICES.get(key, ())
    if key == "gssencmode" and value == "require":
        raise ValueError("has gssencmode=require, which is not supported; use sslmode=verify-full")
    if choices and value not in choices:
        near = difflib.get_close_matches(value, choices, n=1)
        instead = _INSTEAD.get((key, value.lower())) or (near[0] if near else "")
        hint = f"; did you mean {key}={instead}?" if instead else ""
        raise ValueError(f"has a wrong {key}: it must be one of {', '.join(choices)}{hint}")
    if key in _NUMBERS and not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise ValueError(f"has a wrong {key}: it must be a whole number")
    if not value.isprintable() and "password" not in key:
        raise ValueError(f"has an invisible character in {key}; remove it")
    if key == "options":
        settings_in_options(value)


def settings_in_options(text: str) -> dict[str, str]:
    """Return the settings in libpq's `options`, such as `-c search_path=app --jit=off`.

    Words without a dash are for a proxy, such as `endpoint=…` for Neon's. Raises ValueError, which
    shows no value.
    """
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\s\\])+", text)]
    found = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            continue
        if not word.startswith(("-c", "--")):
            raise ValueError("has an unknown switch in options; write settings as -c name=value")
        setting = next(rest, "") if word == "-c" else word[2:]
        name, assigned, value = setting.partition("=")
        name = name.replace("-", "_")
        if not assigned or not _NAME.fullmatch(name):
            raise ValueError("has a setting in options that is not of the form -c name=value")
        found[name] = value
    return found


def check_together(mode: str, options: Mapping[str, str]) -> None:
    """Raise ValueError if options contradict each other; `mode` is the sslmode in effect."""
    if options.get("sslrootcert") == SYSTEM_CERTIFICATES and mode != "verify-full":
        raise ValueError("has sslrootcert=system, which needs sslmode=verify-full, as in libpq")
    oldest = options.get("ssl_min_protocol_version", "TLSv1.2")
    newest = options.get("ssl_max_protocol_version", "TLSv1.3")
    if _TLS_VERSIONS.index(oldest) > _TLS_VERSIONS.index(newest):
        raise ValueError(
            f"has ssl_max_protocol_version={newest}, which is older than "
            f"ssl_min_protocol_version={oldest} (TLSv1.2 by default)"
        )
    if options.get("sslnegotiation") == "direct" and SSL_MODES.index(mode) < 3:
        raise ValueError(
            "has sslnegotiation=direct, which needs sslmode=require, verify-ca or verify-full"
        )


def _unknown(key: str, *, nameable: bool) -> str:
    near = difflib.get_close_matches(key.lower(), sorted(USED | IGNORED), n=1, cutoff=0.75)
    what = f"{key!r} " if nameable and _NAME.fullmatch(key) and len(key) < 40 else ""
    if near:
        return f"has an unknown option {what}; did you mean {near[0]}?".replace(" ;", ";")
    return (
        f"has an unknown option {what}after the '?'; remove it, and write a setting of the server "
        "as options=-c%20name%3Dvalue"
    )
