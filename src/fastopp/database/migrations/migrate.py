"""Migrations: Alembic in this process, on both databases, safe for any number of instances at once.

Everything here returns data and prints nothing; `oppman.py` does the talking. `source` is the process's `Database`
or its `Settings`; a migration always opens a separate connection. `folder` is the project's `alembic` folder, found
by itself. What compares models with the database (`check`, `make_migration`) loads the project's apps.

Alembic costs 100 ms to import and is imported where it is used; `head_revision` and `current_revision`, which the
health check asks, do without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from fastopp._moved import moved_member
from fastopp.database.migrations.errors import MigrationsPending
from fastopp.database.migrations.questions import Answers
from fastopp.database.migrations.results import Applied, Check, MigrationResult, MigrationState, NewMigration
from fastopp.database.migrations.revisions import (
    Revision,
    ancestors,
    current_revision,
    find_migrations,
    find_revision,
    head_revision,
    only_head,
    read_revisions,
)
from fastopp.platforms.base import Platform
from fastopp.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlmodel.ext.asyncio.session import AsyncSession

    from fastopp.database.migrations.alembic_project import Project
    from fastopp.database.session import Database
    from fastopp.settings.database_url import DatabaseURL

__all__ = [
    "Applied", "Check", "MigrationResult", "MigrationState", "NewMigration", "Revision", "check", "current",
    "current_revision", "downgrade", "head_revision", "history", "make_migration", "pending", "show",
    "show_migrations", "sqlmigrate", "stamp", "upgrade",
]  # fmt: skip

if not TYPE_CHECKING:  # type checkers would take any name
    __getattr__ = partial(moved_member, __name__)

T = TypeVar("T")

DEFAULT_TIMEOUT = 600.0  # seconds; a migration in a terminal is watched

# Seconds inside a request. A platform may give it more, but the browser or the deploy that waits for it gives up long
# before; our own migrations take less than a second, and one that waits for a lock can simply be run again.
REQUEST_TIMEOUT = 60.0


def timeout_on(platform: Platform) -> float:
    """Return the seconds that a migration may take on a platform, whose requests may be cut off."""
    return DEFAULT_TIMEOUT if platform.request_timeout is None else REQUEST_TIMEOUT


async def upgrade(
    source: Database | Settings,
    revision: str = "head",
    *,
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - it bounds the server's work as well
    progress: Callable[[Applied], None] | None = None,
    allow_drop: bool = False,
    folder: Path | None = None,
) -> MigrationResult:
    """Bring the database up to a migration, FastOpp 0.4.8's too. All or nothing; nothing when it is there already.

    Parameters
    ----------
    revision: an id, `head`, or `+N`.
    timeout: seconds for everything, waiting for other instances included.
    progress: called for each migration, once all of them are committed.
    allow_drop: permit migrations that delete columns, tables or values of a user's.

    Raises
    ------
    DataWouldBeLost: unless `allow_drop`; nothing was changed.
    MigrationError and its subclasses, MigrationTimeout, DatabaseUnavailable: nothing was changed.
    """
    from fastopp.database.migrations.adopt import adopt  # noqa: PLC0415 - only a migration needs it
    from fastopp.database.migrations.losses import run_migrations  # noqa: PLC0415 - as above

    project = await _open_project(folder)
    target = revision if revision.startswith("+") else find_revision(project.revisions, revision).id

    def migrate(connection: Connection) -> MigrationResult:
        adopted = adopt(connection, project.revisions)
        steps: list[Applied] = []
        if target not in ancestors(project.revisions, project.applied(connection)):
            steps = run_migrations(project.revisions, connection, project.upgrade, target, allow_drop=allow_drop)
        return MigrationResult(tuple(steps), _newest(project, connection), adopted)

    return _report(await _migrate(source, timeout, migrate), progress)


async def downgrade(
    source: Database | Settings,
    revision: str,
    *,
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - as above
    progress: Callable[[Applied], None] | None = None,
    allow_drop: bool = False,
    folder: Path | None = None,
) -> MigrationResult:
    """Take the database back to a migration: an id, `base` for before the first, or `-N`. All or nothing.

    Raises as `upgrade` does.
    """
    from fastopp.database.migrations.losses import run_migrations  # noqa: PLC0415 - only a migration needs it

    project = await _open_project(folder)
    relative = revision == "base" or revision.startswith("-")
    target = revision if relative else find_revision(project.revisions, revision).id

    def migrate(connection: Connection) -> MigrationResult:
        steps = run_migrations(project.revisions, connection, project.downgrade, target, allow_drop=allow_drop)
        return MigrationResult(tuple(steps), _newest(project, connection))

    return _report(await _migrate(source, timeout, migrate), progress)


async def stamp(source: Database | Settings, revision: str = "head", *, folder: Path | None = None) -> str | None:
    """Write down that the database is at a migration (`base`: before the first) without running any; return its id.

    What was written down before is replaced, be it known to this project or not.
    """
    project = await _open_project(folder)
    target = "base" if revision == "base" else find_revision(project.revisions, revision).id

    def migrate(connection: Connection) -> str | None:
        project.stamp(connection, target)
        return _newest(project, connection)

    return await _migrate(source, DEFAULT_TIMEOUT, migrate)


async def current(source: Database | Settings) -> str | None:
    """The migration that the database is at, or None."""
    async with _reading(source) as session:
        return await current_revision(session)


async def history(*, folder: Path | None = None) -> tuple[Revision, ...]:
    """The project's migrations, first to last."""
    return tuple((await _read(folder)).values())


async def show(revision: str = "head", *, folder: Path | None = None) -> Revision:
    """One migration. Raises UnknownRevision."""
    return find_revision(await _read(folder), revision)


async def show_migrations(source: Database | Settings, *, folder: Path | None = None) -> tuple[MigrationState, ...]:
    """The project's migrations, first to last, and which of them the database has."""
    revisions = await _read(folder)
    at = await current(source)
    done = ancestors(revisions, [at] if at else [])
    return tuple(MigrationState(each.id, each.title, each.id in done) for each in revisions.values())


async def pending(source: Database | Settings, *, folder: Path | None = None) -> tuple[Revision, ...]:
    """The migrations that the database lacks, in the order they will run."""
    revisions = await _read(folder)
    states = await show_migrations(source, folder=folder)
    return tuple(revisions[state.revision] for state in states if not state.applied)


async def check(source: Database | Settings, *, folder: Path | None = None) -> Check:
    """Compare the database with the migrations, and with the models once it has them all.

    What the database has and the models do not know is kept, and no difference.
    """
    project = await _open_project(folder)
    at, head, lacking = await current(source), only_head(project.revisions), await pending(source, folder=folder)
    if lacking:
        return Check(at, head, lacking)
    return Check(at, head, (), *await _migrate(source, DEFAULT_TIMEOUT, project.differences))


async def make_migration(
    source: Database | Settings,
    message: str,
    *,
    autogenerate: bool = True,
    allow_drop: bool = False,
    answers: Answers = Answers(),  # noqa: B008 - it is frozen
    folder: Path | None = None,
) -> NewMigration:
    """Write the next migration from what the models have and the database lacks.

    Without `autogenerate` it is empty, to be filled by hand. What the models do not know stays in the database, unless
    `allow_drop` has the migration drop it.

    Raises
    ------
    AnswersNeeded: the models do not say what was renamed, or what existing rows get.
    MigrationsPending: the database has to be up to date first.
    VersionsNotWritable: as on a read-only disk.
    """
    project = await _open_project(folder)
    only_head(project.revisions)
    if autogenerate and await pending(source, folder=folder):
        raise MigrationsPending

    def write(connection: Connection) -> NewMigration:
        return project.write_migration(
            connection, message, autogenerate=autogenerate, allow_drop=allow_drop, answers=answers
        )

    return await _migrate(source, DEFAULT_TIMEOUT, write)


async def sqlmigrate(
    source: Database | Settings,
    revision: str,
    direction: Literal["upgrade", "downgrade"] = "upgrade",
    *,
    folder: Path | None = None,
) -> str:
    """The SQL of one migration for the configured kind of database, without connecting to it."""
    from fastopp.database.migrations.lock import alembic_alone  # noqa: PLC0415 - health does without

    project = await _open_project(folder)
    wanted = find_revision(project.revisions, revision)
    async with alembic_alone(DEFAULT_TIMEOUT):
        return project.sql(_url(source).backend, wanted, direction)


def _report(result: MigrationResult, progress: Callable[[Applied], None] | None) -> MigrationResult:
    if progress:
        for step in result.applied:
            progress(step)
    return result


async def _migrate(source: Database | Settings, timeout: float, work: Callable[[Connection], T]) -> T:  # noqa: ASYNC109 - as above
    from fastopp.database.migrations.lock import (  # noqa: PLC0415 - health does without
        alembic_alone,
        migration_transaction,
    )

    async with alembic_alone(timeout), migration_transaction(_url(source), timeout) as connection:
        return await connection.run_sync(work)


async def _open_project(folder: Path | None) -> Project:
    def import_and_open() -> Project:
        from fastopp.database.migrations.alembic_project import Project  # noqa: PLC0415 - imports Alembic

        return Project.open(find_migrations(folder))

    return await asyncio.to_thread(import_and_open)


async def _read(folder: Path | None) -> dict[str, Revision]:
    return await asyncio.to_thread(lambda: read_revisions(find_migrations(folder)))


def _newest(project: Project, connection: Connection) -> str | None:
    return next(iter(project.applied(connection)), None)


def _url(source: Database | Settings) -> DatabaseURL:
    return source.database if isinstance(source, Settings) else source.url


@asynccontextmanager
async def _reading(source: Database | Settings) -> AsyncIterator[AsyncSession]:
    if not isinstance(source, Settings):
        async with source.read() as session:
            yield session
        return
    from fastopp.database.session import Database  # noqa: PLC0415 - a caller that has one has imported it

    database = Database.from_settings(source)
    try:
        async with database.read() as session:
            yield session
    finally:
        await database.dispose()
