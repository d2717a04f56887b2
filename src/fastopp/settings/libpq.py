"""The parameters of a PostgreSQL URL: libpq's, and what other drivers call them.

Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fastopp.errors import FastOppError

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
_NUMBERS = ("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
            "tcp_user_timeout")  # fmt: skip
# What libpq accepts in a URL and makes sense for a web application.
_LIBPQ_PARAMETERS = frozenset({
    *_CHOICES, *_NUMBERS, "application_name", "client_encoding", "fallback_application_name", "gssdelegation", "gsslib",
    "hostaddr", "krbsrvname", "max_protocol_version", "min_protocol_version", "options", "passfile", "require_auth",
    "requirepeer", "service", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert", "sslcertmode",
    "sslcompression", "sslcrl", "sslcrldir", "sslkey", "sslpassword", "sslrootcert", "sslsni",
})  # fmt: skip
_LOCATION_PARAMETERS = ("host", "port", "user", "password", "dbname")
# Parameters that dashboards and tutorials add for other programs. Named prepared statements, which many of them switch
# off for a pooler, are always off here; the size of the pool is a setting.
_OF_OTHER_PROGRAMS = frozenset({
    "connection_limit", "max_connection_lifetime", "max_idle_connection_lifetime", "pgbouncer", "pool_timeout",
    "single_use_connections", "socket_timeout", "statement_cache_size",  # Prisma
    "supa", "uselibpqcompat", "workaround",  # node-postgres, and what hosts add to its URLs
    "binary_parameters", "default_query_exec_mode", "description_cache_capacity", "pool_health_check_period",
    "pool_max_conn_idle_time", "pool_max_conn_lifetime", "pool_max_conns", "pool_min_conns",
    "statement_cache_capacity",  # Go
    "preparedStatementCacheQueries", "prepareThreshold", "reWriteBatchedInserts", "tcpKeepAlive",  # JDBC
    "conn_health_checks", "conn_max_age", "max_overflow", "pool", "pool_pre_ping", "pool_recycle", "pool_size",
    "prepare_threshold", "prepared_statement_cache_size", "prepared_statements",  # Python, Ruby, Elixir
})  # fmt: skip
_SCHEMA = ("schema", "currentSchema")  # Prisma's and JDBC's
SECRET_PARAMETERS = frozenset({"sslpassword"})
# Other programs' names of what libpq has too.
_ALIASES: Mapping[str, str] = {
    "ApplicationName": "application_name", "connectTimeout": "connect_timeout", "database": "dbname",
    "username": "user",
}  # fmt: skip
# libpq's documentation translates ssl=true so; asyncpg's own parameter takes the modes, and node-postgres has another.
_MODES: Mapping[str, str] = {"true": "require", "1": "require", "false": "disable", "0": "disable",
                             "no-verify": "require"}  # fmt: skip
_NAME = re.compile(r"[A-Za-z_]\w*")


class DatabaseURLError(FastOppError):
    """The database URL cannot be used."""


def is_known(name: str) -> bool:
    """Return whether a URL may have this parameter."""
    ours = name in _LIBPQ_PARAMETERS or name in _LOCATION_PARAMETERS
    return ours or name in _OF_OTHER_PROGRAMS or name in _ALIASES or name in (*_SCHEMA, "ssl")


def check_parameters(given: dict[str, str], *, require_tls: bool) -> dict[str, str]:
    """Rename other drivers' parameters to libpq's, and refuse what libpq would not understand.

    Parameters
    ----------
    given: the parameters of a URL, decoded.
    require_tls: ask for TLS where they do not say.

    Raises
    ------
    DatabaseURLError: for a name that is unknown or a value that cannot be. No value is in the message.
    """
    query = {name: value for name, value in given.items() if name not in _OF_OTHER_PROGRAMS}
    for name in _SCHEMA:
        if query.pop(name, "public") != "public":
            raise DatabaseURLError(f"The parameter {name} is not supported.", hint="Remove it: the schema is public.")
    for name in _ALIASES.keys() & query.keys():
        query.setdefault(_ALIASES[name], query.pop(name))
    if (ssl := query.pop("ssl", None)) is not None:
        query.setdefault("sslmode", ssl.lower())
    if (mode := query.get("sslmode", "")) in _MODES:
        query["sslmode"] = _MODES[mode]
    for name, value in query.items():
        if not is_known(name):
            raise unknown_parameter(name, _LIBPQ_PARAMETERS)
        if name in _CHOICES and value not in _CHOICES[name]:
            choices = ", ".join(_CHOICES[name])
            raise DatabaseURLError(f"The parameter {name} has an invalid value.", hint=f"Use one of {choices}.")
        if name in _NUMBERS and not re.fullmatch(r"\d{1,9}", value):
            raise DatabaseURLError(f"The parameter {name} is not a whole number.", hint=f"Write {name}=10.")
    if query.get("sslrootcert") == "system":  # libpq: nothing weaker goes with the system's certificates
        if query.setdefault("sslmode", "verify-full") != "verify-full":
            hint = "Use sslmode=verify-full, or a file of certificates."
            raise DatabaseURLError("sslrootcert=system needs sslmode=verify-full.", hint=hint)
    elif require_tls:
        query.setdefault("sslmode", "require")
    return query


def unknown_parameter(name: str, known: Iterable[str] = ()) -> DatabaseURLError:
    """The error that names a parameter, and those that it may have been meant to be."""
    import difflib  # noqa: PLC0415 - only needed after a typing error

    # A name that does not look like one may be a piece of a mangled password.
    shown = f" {name}" if _NAME.fullmatch(name) else ""
    near = difflib.get_close_matches(name, known, n=2)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Remove it."
    return DatabaseURLError(f"The parameter{shown} is unknown.", hint=hint)
