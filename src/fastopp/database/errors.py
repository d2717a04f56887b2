"""What can be wrong with a database, and how to tell an outage from a mistake in a query."""

from __future__ import annotations

from fastopp.errors import FastOppError, Unavailable

# SQLSTATE classes and codes that say "not now" rather than "not so".
# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_OUTAGE_CLASSES = ("08", "53", "58")  # connection, resources (too many connections, disk full), system
_OUTAGE_CODES = frozenset({
    "25006",  # read-only: this server has become a standby
    "57P01", "57P02", "57P03", "57P05",  # shut down, crashed, starting up, idle session ended
})  # fmt: skip
# Primary result codes of SQLite. Source: https://www.sqlite.org/rescode.html
_SQLITE_OUTAGES = {
    5: "Another process keeps it locked.",
    6: "Another connection keeps it locked.",
    10: "The disk fails to read or write.",
    13: "The disk is full.",
    14: "The file cannot be opened.",
}


class DatabaseURLError(FastOppError):
    """The database URL cannot be used."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached at the moment."""


def outage_reason(error: BaseException) -> str | None:
    """Why a driver's error means that the database cannot be reached, as a sentence; None when it does not mean that.

    The driver's own words are not repeated: they may hold data.
    """
    if isinstance(error, TimeoutError):
        return "It did not answer in time."
    if isinstance(error, OSError):
        return "It cannot be connected to."
    if (code := getattr(error, "sqlite_errorcode", None)) is not None:
        return _SQLITE_OUTAGES.get(code & 0xFF)
    state = getattr(error, "sqlstate", None)
    if state and (state in _OUTAGE_CODES or state.startswith(_OUTAGE_CLASSES)):
        return "It refuses connections or has run out of something."
    return None
