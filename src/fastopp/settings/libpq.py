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
# How people switch named prepared statements off for a pooler. Here they are always off.
_MEANT_FOR_POOLERS = frozenset({"pgbouncer", "prepare_threshold", "prepared_statement_cache_size",
                                "statement_cache_size"})  # fmt: skip
SECRET_PARAMETERS = frozenset({"sslpassword"})
_ALIASES = ("ssl", "database")
_NAME = re.compile(r"[A-Za-z_]\w*")


class DatabaseURLError(FastOppError):
    """The database URL cannot be used."""


def is_known(name: str) -> bool:
    """Whether a URL may have this parameter."""
    return name in _LIBPQ_PARAMETERS or name in _LOCATION_PARAMETERS or name in _MEANT_FOR_POOLERS or name in _ALIASES


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
    query = {name: value for name, value in given.items() if name not in _MEANT_FOR_POOLERS}
    if (ssl := query.pop("ssl", None)) is not None:
        # libpq's documentation translates ssl=true so; asyncpg's own parameter takes the modes.
        query.setdefault("sslmode", {"true": "require", "1": "require", "false": "disable"}.get(ssl.lower(), ssl))
    if (name := query.pop("database", None)) is not None:
        query.setdefault("dbname", name)
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
