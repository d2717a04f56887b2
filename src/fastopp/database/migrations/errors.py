"""The errors of migrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastopp.errors import Conflict, FastOppError, Unavailable


class MigrationError(FastOppError):
    """The database cannot be migrated."""


class NoMigrations(MigrationError):
    """This folder has no migrations."""

    hint = "Run the command in the project's folder: the one with main.py and alembic/."


class UnknownRevision(MigrationError):
    """There is no such migration."""

    hint = "`python oppman.py migrate history` lists them."


class MultipleHeads(MigrationError):
    """Several migrations claim to be the latest."""


class SchemaMismatch(MigrationError):
    """A table has the name of one of FastOpp's tables, but a different structure. Nothing was changed."""


class MigrationFailed(MigrationError):
    """A migration failed, and nothing was changed."""


class MigrationsPending(Conflict):
    """The database lacks migrations."""

    hint = "Run `python oppman.py migrate upgrade` first."


class DataWouldBeLost(Conflict):
    """The migration would delete data."""

    hint = (
        "Make a backup first: `python oppman.py backup`. Then allow it: `python oppman.py migrate --yes`, "
        'or POST /async/migrate with {"allow_drop": true}.'
    )

    def __init__(self, losses: Sequence[str]) -> None:
        super().__init__(f"The migration would delete data, and nothing was changed: {'; '.join(losses)}.")
        self.losses = tuple(losses)
        self.extensions = {"would_drop": list(losses)}
        # What a task keeps of its error.
        self.result: dict[str, Any] = {"message": self.message, **self.extensions}


class MigrationTimeout(Unavailable):
    """The migration did not end in time, and nothing was changed."""

    hint = "Another process holds a lock on the database. Run it again; if it keeps failing, when the site is idle."


class VersionsNotWritable(MigrationError):
    """The migrations folder is read-only."""

    hint = "Make migrations on your own machine, commit the file and deploy it."
