"""What can be wrong with a dump, and with making or restoring one."""

from __future__ import annotations

from fastopp.errors import BadRequest, Conflict, FastOppError, Unavailable


class DumpFailed(FastOppError):
    """The database cannot be dumped."""


class DumpTimeout(Unavailable):
    """The backup did not end in time, and nothing was kept of it."""


class BadDump(BadRequest):
    """This is not a dump of a database, or it is damaged."""

    hint = "Take another copy of it, or an older backup."


class ValueDoesNotFit(BadRequest):
    """The database has no place for a value of the dump."""


class RestoreFailed(FastOppError):
    """The database refused what the dump holds, and nothing was changed."""


class DatabaseNotEmpty(Conflict):
    """The database has rows already."""

    hint = "Restore into an empty database, or add --force to replace everything that is in this one."
