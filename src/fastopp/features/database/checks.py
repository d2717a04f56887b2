"""Checks of DATABASE_URL that connect to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from fastopp.checks.check import Problem, Scope, Subject, check
from fastopp.checks.context import DATABASE, CheckContext
from fastopp.platforms.detection import PLATFORMS
from fastopp.settings.database_url import DatabaseURL

WEAK_MODES = ("disable", "allow", "prefer")  # libpq goes on without TLS in these
PRIVATE_DOMAINS = (".internal", ".local", *(name for each in PLATFORMS.values() for name in each.private_domains))


@check(
    "fastopp.E101",
    "DATABASE_URL is missing or cannot be read",
    fix="Copy it unchanged from your database's page. docs/database.md lists all forms.",
    subject=Subject.DATABASE,
)
def database_url(context: CheckContext) -> Iterator[Problem]:
    """The application does not start without a database."""
    for problem in context.problems_of(*DATABASE):
        yield Problem(f"DATABASE_URL: {problem.what}", problem.fix)


@check(
    "fastopp.E102",
    "SQLite on a platform without a persistent disk",
    fix="Create a PostgreSQL in the platform's dashboard and set its URL as DATABASE_URL.",
    subject=Subject.DATABASE,
)
def sqlite_does_not_last(context: CheckContext) -> Iterator[Problem]:
    """The file is lost with the instance, and each instance has its own."""
    if not context.platform.persistent_disk and context.database.backend == "sqlite":
        yield Problem(f"The database is a SQLite file, and {context.platform.title} has no persistent disk.")


@check(
    "fastopp.E103",
    "sslmode allows a database connection without TLS",
    fix="Remove sslmode from DATABASE_URL, or set sslmode=require.",
    subject=Subject.DATABASE,
    scope=Scope.DEPLOYMENT,
)
def tls_not_demanded(context: CheckContext) -> Iterator[Problem]:
    """The platform's databases are reached over a shared network, and accept encrypted connections only."""
    if context.platform.requires_tls and (mode := _weak_mode(context.database)):
        yield Problem(f"DATABASE_URL has sslmode={mode}.")


@check(
    "fastopp.W104",
    "The password may travel unencrypted to the database",
    fix="Add sslmode=require, or better verify-full, to DATABASE_URL (docs/database.md).",
    subject=Subject.DATABASE,
)
def tls_not_demanded_elsewhere(context: CheckContext) -> Iterator[Problem]:
    """Without sslmode, libpq accepts an unencrypted connection if the server offers no other."""
    url = context.database
    if context.platform.requires_tls or url.backend == "sqlite" or context.settings.development or is_near(url):
        return
    mode = url.query.get("sslmode")
    if mode is None or mode in WEAK_MODES:
        yield Problem(f"DATABASE_URL has {f'sslmode={mode}' if mode else 'no sslmode'} and names another machine.")


def _weak_mode(url: DatabaseURL) -> str | None:
    mode = url.query.get("sslmode")
    return mode if mode in WEAK_MODES else None


def is_near(url: DatabaseURL) -> bool:
    """Return whether it is on this machine or in a private network, whose names have no dot or end like these."""
    for host in url.hosts:
        name = host.name or ""
        if host.is_socket or "." not in name.replace(":", ".") or name.endswith(PRIVATE_DOMAINS):
            continue
        try:
            if ip_address(name).is_private:
                continue
        except ValueError:
            pass
        return False
    return True
