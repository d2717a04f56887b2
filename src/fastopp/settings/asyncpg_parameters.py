"""The parameters of libpq that asyncpg supports, checked with the URL: a mistake is reported before the start."""

from __future__ import annotations

from collections.abc import Mapping

from fastopp.settings.libpq import DatabaseURLError

# What the server itself reads from the connection's first message.
SERVER_SETTINGS = ("application_name", "options")
ARGUMENTS = ("krbsrvname", "gsslib", "passfile", "service", "target_session_attrs")
_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "ssl_min_protocol_version",
        "ssl_max_protocol_version")  # fmt: skip
# Done by us, with the socket or the time limit.
_OURS = ("connect_timeout", "fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval",
         "keepalives_count", "tcp_user_timeout")  # fmt: skip
# asyncpg behaves like these values by default, or has no such feature.
_ALREADY_SO = {
    "channel_binding": ("disable", "prefer"), "client_encoding": ("utf8", "UTF8", "utf-8", "UTF-8", "auto"),
    "gssencmode": ("disable", "prefer"), "load_balance_hosts": ("disable",), "sslcompression": ("0",),
    "sslnegotiation": ("postgres",), "sslsni": ("1",),
}  # fmt: skip


def check_asyncpg(query: Mapping[str, str]) -> None:
    """Raise DatabaseURLError for a parameter that asyncpg cannot do."""
    done = {*ARGUMENTS, *SERVER_SETTINGS, *_TLS, *_OURS}
    for name, value in query.items():
        if name not in done and value not in _ALREADY_SO.get(name, ()):
            hint = f"Remove {name}, or use psycopg with postgresql://."
            raise DatabaseURLError(f"The driver asyncpg does not support {name}={value}.", hint=hint)
