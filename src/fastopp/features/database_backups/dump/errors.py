"""Errors of a dump, and of making or restoring one."""

from __future__ import annotations

from fastopp.errors import BadRequest, Conflict, FastOppError, Unavailable


class DumpFailed(FastOppError):
    """The database cannot be dumped."""


class DumpTimeout(Unavailable):
    """It did not end in time, and nothing was changed."""

    hint = "From your own machine it may take as long as it needs: set DATABASE_URL there, and use oppman.py."


class RowTooLarge(DumpFailed):
    """A row is too large to be restored."""

    hint = "Keep large values as uploaded files, and their keys in the database."


class BadDump(BadRequest):
    """This is not a dump of a database, or it is damaged."""

    hint = "Take another copy of it, or an older backup."


class ValueDoesNotFit(BadRequest):
    """A value in the dump does not fit the database."""


class RestoreFailed(FastOppError):
    """The database refused the data in the dump, and nothing was changed."""


class DatabaseNotEmpty(Conflict):
    """The database has rows already."""

    hint = "Restore into an empty database, or replace what is in this one: --force, or force=true in a request."
