"""Errors of a database, and how to distinguish an outage from a mistake in a query."""

from __future__ import annotations

import re

from fastopp.errors import FastOppError, Unavailable

# SQLSTATE classes and codes that say "not now" rather than "not so".
# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_OUTAGE_CLASSES = ("08", "53", "58")  # connection, resources (too many connections, disk full), system
READ_ONLY = "25006"
_OUTAGE_CODES = frozenset({
    READ_ONLY,  # read-only: this server has become a standby
    "57P01", "57P02", "57P03", "57P05",  # shut down, crashed, starting up, idle session ended
})  # fmt: skip
_REASONS = {"25006": "It is read-only.", "53100": "Its disk is full."}
_MISSING_COLUMN = "42703"
_MISSING_CODES = frozenset({"42P01", _MISSING_COLUMN})  # undefined table, undefined column
_MISSING_NAME = re.compile(r'(?:relation|column) (?:"([^"]+)"|([\w.]+)) ')
_SQLITE_MISSING = re.compile(r"(?:no such (table|column):|table \w+ has no column named) (\S+)")
# Primary result codes of SQLite. Source: https://www.sqlite.org/rescode.html
_SQLITE_OUTAGES = {
    5: "Another process keeps it locked.",
    6: "Another connection keeps it locked.",
    8: "It is read-only.",
    10: "The disk fails to read or write.",
    11: "The file is damaged.",
    13: "The disk is full.",
    14: "The file cannot be opened.",
    26: "The file is not a database.",
}
# What servers and TLS say in English when they refuse a connection; libpq gives no code then. Names come first, since
# they may hold the words of another reason.
_REFUSALS = (
    (r"3d000|database \".*\" does not exist|no such database", "It has no database of that name."),
    (r"role \".*\" does not exist", "It refuses the user or the password."),
    (r"certificate|hostname mismatch", "Its certificate cannot be verified."),
    (r"support ssl|rejected ssl", "It does not offer TLS."),
    (r"ssl required|no encryption", "It takes connections with TLS only."),  # pgbouncer's words, PostgreSQL's
    (r"28p01|28000|authentication failed", "It refuses the user or the password."),
    (r"channel binding", "It does not offer channel binding."),
    (r"too many|no more connections|connection slots are reserved", "It has too many connections."),
    (r"failed to resolve host|name or service not known|name resolution", "The name of its host is unknown."),
)


class ReplicaIsReadOnly(FastOppError):
    """This request reads a replica of the database, which cannot be written."""

    hint = "Write in a POST, or use `runtime.database.transaction()`: both go to the primary."


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached at the moment."""

    # Visitors see `message`; `target`, the masked URL, is in `str` for logs and the command line.
    target: str | None = None

    def __init__(self, message: str | None = None, *, target: str | None = None, hint: str | None = None) -> None:
        self.target = target
        super().__init__(message, hint=hint)

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.target})" if self.target else super().__str__()


class TablesMissing(Unavailable):
    """The database has no tables yet, or not all of them."""

    hint = "Run `python oppman.py migrate`, or POST /async/init-demo where there is no shell."

    # Visitors see `message`; `missing`, the name of the table or column, is in `str` for logs and developers.
    def __init__(self, missing: str | None = None) -> None:
        self.missing = missing
        super().__init__()

    def __str__(self) -> str:
        return f"{super().__str__()} (Missing: {self.missing})" if self.missing else super().__str__()


class ColumnsMissing(TablesMissing):
    """The database lacks a column of a model."""

    hint = (
        'Run `python oppman.py makemigrations "What changed"` if the model has changed, and then '
        "`python oppman.py migrate`; where there is no shell POST /async/init-demo."
    )


def tables_missing(error: BaseException) -> TablesMissing | None:
    """Return the error to raise if a driver's says that a table or column is not there."""
    text = str(error).partition("\n")[0]
    if (state := getattr(error, "sqlstate", None)) in _MISSING_CODES:
        name = _MISSING_NAME.search(text)
        return (ColumnsMissing if state == _MISSING_COLUMN else TablesMissing)(name[1] or name[2] if name else None)
    if type(error).__module__ == "sqlite3" and (found := _SQLITE_MISSING.match(text)):
        return (TablesMissing if found[1] == "table" else ColumnsMissing)(found[2])
    return None


def unavailable(target: str, error: BaseException) -> DatabaseUnavailable:
    """The error to raise when connecting failed, with a reason if it is known.

    Parameters
    ----------
    target: the masked URL.
    error: what the driver raised. Its words are not repeated: they may hold data.
    """
    text = f"{getattr(error, 'sqlstate', None)} {error}".lower()
    refusals = (reason for signs, reason in _REFUSALS if re.search(signs, text))
    reason = next(refusals, None) or outage_reason(error)
    message = " ".join(filter(None, (DatabaseUnavailable.__doc__, reason)))
    return DatabaseUnavailable(message, target=target)


def outage_reason(error: BaseException) -> str | None:
    """Return a sentence on why the database cannot be reached; None when a driver's error does not mean that.

    A statement that the server refuses is no outage; neither is a row that breaks a constraint.
    """
    if isinstance(error, TimeoutError):
        return "It did not answer in time."
    if isinstance(error, OSError):
        return "The connection failed."
    if (code := getattr(error, "sqlite_errorcode", None)) is not None:
        return _SQLITE_OUTAGES.get(code & 0xFF)
    state = getattr(error, "sqlstate", None)
    if state in _REASONS:
        return _REASONS[state]
    if state and (state in _OUTAGE_CODES or state.startswith(_OUTAGE_CLASSES)):
        return "It refuses connections or is out of resources."
    return None
