"""The project's migrations, as the files of `alembic/versions` say, read without importing them or Alembic.

And which of them a database is at, since the health check asks for both.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastopp.database.errors import TablesMissing
from fastopp.database.migrations.errors import MigrationError, MultipleHeads, NoMigrations, UnknownRevision

if TYPE_CHECKING:
    from sqlmodel.ext.asyncio.session import AsyncSession

FIRST_REVISION = "0001"

# A constant of the module, up to the next line that starts at the margin; the strings in it; the docstring.
_CONSTANT = re.compile(r"^(revision|down_revision)\b[^=\n]*=(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_STRING = re.compile(r"[\"']([^\"'\n]+)[\"']")
_DOCSTRING = re.compile(r"\s*(?:#[^\n]*\s*)*[rR]?(?P<quote>\"{3}|'{3}|\"|')(?P<text>.*?)(?P=quote)", re.DOTALL)


class Revision(NamedTuple):
    """One migration: its id, the first line of its docstring, the ids it follows, and its file."""

    id: str
    title: str
    parents: tuple[str, ...]
    path: Path


def find_migrations(folder: Path | None = None) -> Path:
    """The project's `alembic` folder: the given one, else that of the current folder, else the one beside main.py.

    Raises NoMigrations.
    """
    candidates = [folder] if folder else [Path.cwd() / "alembic"]
    if folder is None and (spec := importlib.util.find_spec("main")) and spec.origin:
        candidates.append(Path(spec.origin).parent / "alembic")
    for candidate in candidates:
        if (candidate / "versions").is_dir():
            return candidate.resolve()
    raise NoMigrations(f"There is no folder {candidates[0]} with a folder versions in it.")


def read_revisions(migrations: Path) -> dict[str, Revision]:
    """The project's migrations by id, each after those it follows.

    Migrations that FastOpp 0.4.8 made on the spot may still lie in the folder. They have no connection with
    the committed ones, and are left out.

    Raises MigrationError when two files share an id, or a file follows one that is missing.
    """
    found: dict[str, Revision] = {}
    for path in sorted((migrations / "versions").glob("*.py")):
        revision = _read(path) if path.is_file() else None
        if revision is None:
            continue
        if twin := found.get(revision.id):
            raise MigrationError(
                f"Two migrations have the id {revision.id}: {twin.path.name} and {path.name}.",
                hint="Give the later one the next free number, in its name and in `revision`, and let it follow the "
                "other in `down_revision`.",
            )
        found[revision.id] = revision
    return _in_order(_connected(found, FIRST_REVISION) if FIRST_REVISION in found else found)


def heads(revisions: Mapping[str, Revision]) -> tuple[str, ...]:
    """The ids that no other migration follows."""
    followed = {parent for revision in revisions.values() for parent in revision.parents}
    return tuple(id_ for id_ in revisions if id_ not in followed)


def only_head(revisions: Mapping[str, Revision]) -> str | None:
    """The latest migration, or None when there is none at all. Raises MultipleHeads."""
    latest = heads(revisions)
    if len(latest) > 1:
        names = " and ".join(revisions[id_].path.name for id_ in latest)
        raise MultipleHeads(
            f"Several migrations claim to be the latest: {names}.",
            hint="Let one follow the other: change its `down_revision`.",
        )
    return latest[0] if latest else None


def ancestors(revisions: Mapping[str, Revision], of: Iterable[str]) -> set[str]:
    """The given ids and all that they follow, directly or not; ids that are no migration here are dropped."""
    reached: set[str] = set()
    waiting = [id_ for id_ in of if id_ in revisions]
    while waiting:
        id_ = waiting.pop()
        if id_ not in reached:
            reached.add(id_)
            waiting.extend(revisions[id_].parents)
    return reached


def find_revision(revisions: Mapping[str, Revision], id_: str) -> Revision:
    """The migration with this id; `head` is the latest, `12` is `0012`. Raises UnknownRevision."""
    wanted = (only_head(revisions) or id_) if id_ in ("head", "heads") else id_
    for candidate in (wanted, wanted.zfill(len(FIRST_REVISION)) if wanted.isdigit() else wanted):
        if candidate in revisions:
            return revisions[candidate]
    raise UnknownRevision(f"There is no migration {id_!r}.")


def next_id(revisions: Mapping[str, Revision]) -> str:
    """The number after the highest there is, with leading zeros."""
    highest = max((int(id_) for id_ in revisions if id_.isdigit()), default=0)
    return f"{highest + 1:0{len(FIRST_REVISION)}d}"


def head_revision(folder: Path | None = None) -> str | None:
    """The id that an up-to-date database carries. Reads files: call it once, off the event loop, and keep it."""
    return only_head(read_revisions(find_migrations(folder)))


async def current_revision(session: AsyncSession) -> str | None:
    """The migration that the database is at, with one query; None when it was never migrated.

    The session must be one that reads in autocommit (`Database.read`): in a transaction of PostgreSQL, asking for a
    table that is not there spoils what follows.
    """
    from sqlalchemy import text  # noqa: PLC0415 - nothing else here needs SQLAlchemy

    try:
        connection = await session.connection()
        row = (await connection.execute(text("SELECT version_num FROM alembic_version"))).first()
    except TablesMissing:
        return None
    return str(row[0]) if row else None


def _read(path: Path) -> Revision | None:
    """Read a file's docstring and constants; None when it is not a migration.

    Not with `ast.parse`: on Python 3.11 two threads that build syntax trees at once disturb each other
    (https://github.com/python/cpython/issues/106905).
    """
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MigrationError(f"{path} cannot be read: {error}.") from error
    values = {name: _STRING.findall(value) for name, value in _CONSTANT.findall(source)}
    if not values.get("revision"):
        return None
    docstring = _DOCSTRING.match(source)
    title = docstring["text"].strip().partition("\n")[0].strip() if docstring else ""
    return Revision(values["revision"][0], title or path.stem, tuple(values.get("down_revision", ())), path)


def _connected(found: Mapping[str, Revision], start: str) -> dict[str, Revision]:
    """Return the revisions connected with `start`, upwards or downwards."""
    kept = {start}
    while True:
        linked = {
            id_ for id_, revision in found.items()
            if id_ in kept or kept.intersection(revision.parents)
        } | {parent for id_ in kept for parent in found[id_].parents if parent in found}  # fmt: skip
        if linked == kept:
            return {id_: revision for id_, revision in found.items() if id_ in kept}
        kept = linked


def _in_order(found: Mapping[str, Revision]) -> dict[str, Revision]:
    ordered: dict[str, Revision] = {}
    waiting = dict(found)
    while waiting:
        ready = [id_ for id_, revision in waiting.items() if all(parent in ordered for parent in revision.parents)]
        if not ready:
            revision = next(iter(waiting.values()))
            missing = [parent for parent in revision.parents if parent not in ordered]
            missing.sort(key=found.__contains__)
            raise MigrationError(
                f"{revision.path.name} follows {missing[0]}, which is missing or follows it in turn.",
                hint="Restore the file, or fix `down_revision`.",
            )
        for id_ in ready:
            ordered[id_] = waiting.pop(id_)
    return ordered
