"""The results of migrating, and of queries about migrations."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fastopp.database.migrations.revisions import Revision


class Applied(NamedTuple):
    """A migration that was just run, upwards or downwards."""

    revision: str
    title: str


class MigrationResult(NamedTuple):
    """The result of a migration: the steps in their order, and the current revision (None: before the first)."""

    applied: tuple[Applied, ...]
    current: str | None
    adopted: bool = False
    """The database was FastOpp 0.4.8's and has been taken over, with all its rows."""


class MigrationState(NamedTuple):
    """A migration, and whether the database has it."""

    revision: str
    title: str
    applied: bool


class NewMigration(NamedTuple):
    """A migration that was just written."""

    path: Path | None
    """Its file; None when there was nothing to write."""
    kept: tuple[str, ...] = ()
    """Things that the models do not know and the migration leaves alone."""
    dropped: tuple[str, ...] = ()
    """Things that the migration drops, with the number of rows that have them."""
    unseen: tuple[str, ...] = ()
    """Differences that have to be written into a migration by hand."""


class Check(NamedTuple):
    """Whether the database is up to date with the migrations, and they with the models."""

    current: str | None
    head: str | None
    pending: tuple[Revision, ...]
    differences: tuple[str, ...] = ()
    """The changes that `makemigrations` would write, a sentence each. Empty while migrations are pending."""
    kept: tuple[str, ...] = ()
    """Things that the models do not know. They are no fault, and stay."""
    unseen: tuple[str, ...] = ()
    """Differences that have to be written into a migration by hand."""

    @property
    def ok(self) -> bool:
        """Nothing is left to do."""
        return not self.pending and not self.differences
