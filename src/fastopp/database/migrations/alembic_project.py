"""Alembic's view of the project's migrations, and its commands on an open transaction."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from alembic.autogenerate import RevisionContext, produce_migrations
from alembic.config import Config
from alembic.operations import ops
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import ResolutionError, RevisionMap
from alembic.util import CommandError, load_python_file
from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import DBAPIError

from fastopp.database.errors import TablesMissing
from fastopp.database.migrations.adopt import SCHEMA_0_4_8
from fastopp.database.migrations.alembic_env import ATTRIBUTE, Environment
from fastopp.database.migrations.answered import answer, rename_first
from fastopp.database.migrations.column_types import know_types
from fastopp.database.migrations.drops import Difference, count_rows, find_drops
from fastopp.database.migrations.errors import MigrationError, MigrationFailed, UnknownRevision, VersionsNotWritable
from fastopp.database.migrations.generated_code import indent_brackets
from fastopp.database.migrations.lock import timed_out
from fastopp.database.migrations.questions import Answers, AnswersNeeded, Question
from fastopp.database.migrations.results import NewMigration
from fastopp.database.migrations.revisions import Revision, next_id, read_revisions
from fastopp.database.migrations.sqlite_indexes import compare_indexes
from fastopp.database.migrations.unseen import find_unseen
from fastopp.database.migrations.written_types import Types, read_types

FILE_TEMPLATE = "%(rev)s_%(slug)s"

OnApply = Callable[[str], None]
"""Called with the id of each migration that was run, upwards or downwards."""


class Differences(NamedTuple):
    """Differences between the database and the models."""

    lacking: tuple[str, ...]
    """Changes that would bring the database to the models."""
    kept: tuple[str, ...]
    """Things that only the database has."""
    unseen: tuple[str, ...]
    """Differences for which no migration is written."""


@dataclass(frozen=True, slots=True)
class Project:
    """The migrations of a project, as the files say and as Alembic has loaded them."""

    migrations: Path
    revisions: Mapping[str, Revision]
    script: ScriptDirectory

    @classmethod
    def open(cls, migrations: Path) -> Project:
        """Read and import the migrations: slow, so not on the event loop. Raises MigrationError."""
        revisions = read_revisions(migrations)
        script = ScriptDirectory(migrations, file_template=FILE_TEMPLATE, messaging_opts={"quiet": True})
        # Only the project's own line: what FastOpp 0.4.8 left in the folder may not even be importable any more.
        try:
            loaded = [
                Script(load_python_file(each.path.parent, each.path.name), each.id, each.path)
                for each in revisions.values()
            ]
        except SyntaxError as error:
            raise MigrationError(f"{error.filename} is not Python: {error.msg} in line {error.lineno}.") from error
        script.revision_map = RevisionMap(lambda: loaded)
        return cls(migrations, revisions, script)

    def run(
        self,
        work: Callable[[tuple[str, ...], MigrationContext], Iterable[Any]],
        environment: Environment,
        *,
        output: TextIO | None = None,
        **options: Any,  # noqa: ANN401 - as EnvironmentContext
    ) -> None:
        """Run the project's env.py, which calls `work` with the database's heads and runs the steps it returns.

        Raises MigrationError and its subclasses for what Alembic and the database refuse.
        """
        config = Config(output_buffer=output)
        config.attributes[ATTRIBUTE] = environment
        running: list[Any] = []

        def steps(database_heads: tuple[str, ...], context: MigrationContext) -> Iterator[Any]:
            for step in work(database_heads, context):
                running[:] = [step]
                yield step

        try:
            with EnvironmentContext(config, self.script, fn=steps, **options):
                self.script.run_env()
        except CommandError as error:
            raise _explain(error) from error
        except (DBAPIError, TablesMissing) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error.__cause__
            if timed_out(cause):
                raise
            # The first line says what; the lines after it may quote rows.
            reason = str(cause).partition("\n")[0]
            which = f"Migration {running[0].revision.revision}" if running else "The migration"
            raise MigrationFailed(f"{which} failed, and nothing was changed: {reason}") from error

    def applied(self, connection: Connection) -> tuple[str, ...]:
        """The ids in the database's `alembic_version`."""
        return MigrationContext.configure(connection).get_current_heads()

    def upgrade(self, connection: Connection, target: str, on_apply: OnApply) -> None:
        """Run migrations upwards, to an id or by `+N`."""
        self.run(
            lambda now, _: self.script._upgrade_revs(target, now),  # type: ignore[arg-type] # noqa: SLF001 - what alembic.command calls
            Environment(connection, on_apply=on_apply),
        )

    def downgrade(self, connection: Connection, target: str, on_apply: OnApply) -> None:
        """Run migrations downwards, to an id, to `base` or by `-N`."""
        self.run(
            lambda now, _: self.script._downgrade_revs(target, now),  # type: ignore[arg-type] # noqa: SLF001 - what alembic.command calls
            Environment(connection, on_apply=on_apply),
        )

    def stamp(self, connection: Connection, target: str) -> None:
        """Record that the database is at `target`, without running any migration."""
        self.run(
            lambda now, _: self.script._stamp_revs(target, now),  # noqa: SLF001 - what alembic.command calls
            Environment(connection),
            purge=True,
        )

    def differences(self, connection: Connection) -> Differences:
        """Compare the models with the database."""
        found: list[Any] = []
        kept: list[str] = []
        unseen: list[str] = []

        types = self.types()

        def compare(_now: tuple[str, ...], context: MigrationContext) -> tuple[()]:
            operations = produce_migrations(context, context.opts["target_metadata"]).upgrade_ops
            assert operations is not None  # noqa: S101 - it is what was asked for
            know_types(operations, types)
            compare_indexes(connection, context.opts["target_metadata"], operations)
            unseen.extend(find_unseen(connection, context.opts["target_metadata"]))
            kept.extend(map(str, find_drops(operations, remove=True)))
            found.extend(operations.as_diffs())
            return ()

        self.run(compare, Environment(connection, compare=True, types=types), dont_mutate=True)
        return Differences(tuple(_describe(difference) for difference in found), tuple(kept), tuple(unseen))

    def types(self) -> Types:
        """The types of columns as the migrations write them."""
        types = read_types(each.module for each in reversed(list(self.script.walk_revisions())))
        for table, columns in SCHEMA_0_4_8.items():  # our 0002 changes some of them in SQL
            for column in columns:
                types.pop((table, column), None)
        return types

    def write_migration(
        self, connection: Connection, message: str, *, autogenerate: bool, allow_drop: bool, answers: Answers
    ) -> NewMigration:
        """Write the next migration, unless models and database agree. Raises AnswersNeeded, VersionsNotWritable."""
        arguments = {
            "message": _as_title(message), "autogenerate": autogenerate, "sql": False, "head": "head", "splice": False,
            "branch_label": None, "version_path": None, "rev_id": next_id(self.revisions), "depends_on": None,
        }  # fmt: skip
        revision = RevisionContext(Config(), self.script, arguments)
        drops: list[Difference] = []
        unseen: list[str] = []

        def compare(now: tuple[str, ...], context: MigrationContext) -> tuple[()]:
            write = revision.run_autogenerate if autogenerate else revision.run_no_autogenerate
            write(now, context)
            return ()

        questions: list[Question] = []

        def ask(operations: ops.UpgradeOps, models: MetaData) -> None:
            questions.extend(answer(operations, answers, models))
            unseen.extend(find_unseen(connection, models))

        types = self.types() if autogenerate else {}
        attempt = connection.begin_nested()
        renames = rename_first(connection, answers, types)
        environment = Environment(
            connection, compare=autogenerate, allow_drop=allow_drop, on_drop=drops.append,
            ask=ask, renames=renames, types=types,
        )  # fmt: skip
        self.run(
            compare, environment, dont_mutate=True, template_args=revision.template_args, revision_context=revision
        )
        attempt.rollback()
        if questions:
            raise AnswersNeeded(questions)
        kept = () if allow_drop else tuple(map(str, drops))
        operations = revision.generated_revisions[-1].upgrade_ops
        if autogenerate and (operations is None or operations.is_empty()):
            return NewMigration(None, kept, (), tuple(unseen))
        dropped = tuple(count_rows(connection, drop) for drop in drops) if allow_drop else ()
        try:
            (script,) = revision.generate_scripts()
            if script is None:
                return NewMigration(None, kept, (), tuple(unseen))
            path = Path(script.path)
            path.write_text(indent_brackets(path.read_text(encoding="utf-8")), encoding="utf-8")
        except CommandError as error:
            raise _explain(error) from error
        except OSError as error:
            raise VersionsNotWritable(
                f"{self.migrations / 'versions'} cannot be written to: {error.strerror}."
            ) from error
        return NewMigration(path, kept, dropped, tuple(unseen))

    def sql(self, dialect: str, revision: Revision, direction: Literal["upgrade", "downgrade"]) -> str:
        """The SQL of one migration, without a database."""
        below = revision.parents[0] if revision.parents else "base"
        start, end = (below, revision.id) if direction == "upgrade" else (revision.id, below)
        move = self.script._upgrade_revs if direction == "upgrade" else self.script._downgrade_revs  # noqa: SLF001 - as above
        written = io.StringIO()
        self.run(
            lambda now, _: move(end, now),  # type: ignore[arg-type] # as above
            Environment(dialect=dialect),
            as_sql=True,
            starting_rev=None if start == "base" else start,
            destination_rev=end,
            output=written,
        )
        return written.getvalue()


def _explain(error: CommandError) -> MigrationError:
    if isinstance(error.__cause__, ResolutionError):
        return UnknownRevision(str(error))
    return MigrationError(str(error).rstrip(".") + ".")


def _as_title(message: str) -> str:
    """The message as one line that a docstring can hold."""
    return " ".join(message.replace("\\", "/").replace('"', "'").split()) or "changes"


def _describe(difference: tuple[Any, ...] | list[tuple[Any, ...]]) -> str:
    """One of Alembic's differences, like `add_column products.colour`."""
    if isinstance(difference, list):  # the changes of one column
        return "; ".join(_describe(each) for each in difference)
    kind, *details = difference
    names = [str(getattr(each, "name", each)) for each in details if each is not None and not isinstance(each, dict)]
    return f"{kind} {' '.join(names)}"
