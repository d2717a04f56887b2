"""`oppman.py migrate …` and Django's names for the same: the history of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from fastopp.console.options import JsonOption, YesOption
from fastopp.console.output import command, emit_json, fail, in_one_line, print_table, say
from fastopp.console.project import load_project
from fastopp.core.mappers import configure_models
from fastopp.database.migrations import migrate
from fastopp.database.migrations.migrate import Applied
from fastopp.database.migrations.questions import Answers
from fastopp.features.migrations.asking import asking
from fastopp.features.migrations.dropping import confirming_drops
from fastopp.platforms.detection import PLATFORMS
from fastopp.settings import Settings

app = typer.Typer(help="Manage migrations. Without a subcommand: upgrade.", no_args_is_help=False)

RevisionArgument = Annotated[str, typer.Argument(help="An id, like 0002; `head` is the newest.")]


def _settings() -> Settings:
    """The project's settings, with the tables of all its apps known."""
    from fastopp.features.accounts import models as _models  # noqa: PLC0415, F401 - relations may name its User

    project = load_project()
    configure_models(project.apps)
    return project.settings


def _say_applied(step: Applied) -> None:
    say(f"  {step.revision} {step.title}")


async def _upgrade(revision: str = "head", *, yes: bool) -> None:
    settings = _settings()
    result = await confirming_drops(
        lambda allow_drop: migrate.upgrade(settings, revision, progress=_say_applied, allow_drop=allow_drop), yes=yes
    )
    if result.adopted:
        say("A FastOpp 0.4.8 database was upgraded, with all its data.", style="green")
    if result.applied:
        say(f"The database is at {result.current}.", style="green")
    else:
        say(f"Nothing to do: the database is at {result.current}.")


@app.callback(invoke_without_command=True)
@command
async def default(context: typer.Context, *, yes: YesOption = False) -> None:
    """Manage migrations. Without a subcommand: upgrade."""
    if context.invoked_subcommand is None:
        await _upgrade(yes=yes)


@app.command()
@command
async def upgrade(revision: RevisionArgument = "head", *, yes: YesOption = False) -> None:
    """Run all pending migrations, or none. Asks before a migration that deletes data."""
    await _upgrade(revision, yes=yes)


@command
async def _upgrade_within_request(*, yes: YesOption = False) -> None:
    await upgrade_within_request(_settings(), yes=yes)


for _platform in PLATFORMS.values():
    if _platform.request_timeout:
        _help = f"Upgrade as {_platform.title} needs it: behind the pooler, one statement at a time, within a minute."
        app.command(_platform.name, help=_help)(_upgrade_within_request)


async def upgrade_within_request(settings: Settings, *, yes: bool = False) -> None:
    """Upgrade in the time that a request has, and say what was done."""
    timeout = migrate.REQUEST_TIMEOUT
    result = await confirming_drops(
        lambda allow_drop: migrate.upgrade(settings, timeout=timeout, progress=_say_applied, allow_drop=allow_drop),
        yes=yes,
    )
    say(f"The database is at {result.current}.", style="green")


# Without the setting, -1 would be taken for an unknown option.
@app.command(context_settings={"ignore_unknown_options": True})
@command
async def downgrade(
    revision: Annotated[str, typer.Argument(help="An id, `base`, or -1 for one step.")], *, yes: YesOption = False
) -> None:
    """Undo migrations back to REVISION, all of them or none. Asks before deleting data."""
    settings = _settings()
    result = await confirming_drops(
        lambda allow_drop: migrate.downgrade(settings, revision, progress=_say_applied, allow_drop=allow_drop), yes=yes
    )
    say(f"The database is at {result.current or 'base'}.", style="green")


@app.command()
@command
async def current() -> None:
    """Print the database's current migration."""
    say(await migrate.current(_settings()) or "base")


@app.command()
@command
async def history(*, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="With the files.")] = False) -> None:
    """List the project's migrations, newest first."""
    revisions = list(reversed(await migrate.history()))
    columns = ["Revision", "Title", "File"] if verbose else ["Revision", "Title"]
    print_table(columns, [[r.id, r.title, str(r.path)][: len(columns)] for r in revisions])


@app.command()
@command
async def show(revision: RevisionArgument = "head") -> None:
    """Print one migration's file."""
    found = await migrate.show(revision)
    say(f"{found.id} {found.title}\n{found.path}\n")
    say(found.path.read_text(encoding="utf-8"))


@app.command()
@command
async def stamp(revision: RevisionArgument = "head") -> None:
    """Mark the database as being at REVISION, without changing any table."""
    say(f"The database says that it is at {await migrate.stamp(_settings(), revision) or 'base'}.")


@app.command()
@command
async def check(*, as_json: JsonOption = False) -> None:
    """Fail if migrations are pending, or if models have changes without a migration."""
    found = await migrate.check(_settings())
    if as_json:
        emit_json(
            {
                "current": found.current,
                "head": found.head,
                "pending": [revision.id for revision in found.pending],
                "differences": list(found.differences),
                "kept": list(found.kept),
                "unseen": list(found.unseen),
            }
        )
    if found.pending:
        names = ", ".join(revision.id for revision in found.pending)
        fail(f"The database lacks {names}. Run `python oppman.py migrate`.")
    if found.differences:
        changes = "\n".join(f"  {difference}" for difference in found.differences)
        fail(f"The models have changes without a migration:\n{changes}\nRun `python oppman.py makemigrations`.")
    if not as_json:
        _say_kept(found.kept)
        _say_unseen(found.unseen)
        say(f"The database is at {found.current}, and the models fit.", style="green")


@app.command()
@command
async def init() -> None:
    """Check that the project has its alembic folder."""
    say(f"The project has {len(await migrate.history())} migrations in alembic/versions.")


@command
async def makemigrations(
    message: Annotated[list[str] | None, typer.Argument(help="Description in a few words.")] = None,
    *,
    empty: Annotated[bool, typer.Option("--empty", help="Write an empty migration to edit by hand.")] = False,
    allow_drop: Annotated[bool, typer.Option("--allow-drop", help="Drop what is not in the models.")] = False,
    rename: Annotated[
        list[str] | None, typer.Option("--rename", help="OLD=NEW, like `books.name=title` or `books=novels`.")
    ] = None,
    no_rename: Annotated[bool, typer.Option("--no-rename", help="Nothing else was renamed.")] = False,
    fill: Annotated[
        list[str] | None, typer.Option("--fill", help="TABLE.COLUMN=VALUE, what existing rows get.")
    ] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Fail instead of asking.")] = False,
) -> None:
    """Write a migration for changes in the models. Columns and tables that are not in the models are kept."""
    settings = _settings()
    made = await asking(
        lambda answers: migrate.make_migration(
            settings,
            " ".join(message or []) or "changes",
            autogenerate=not empty,
            allow_drop=allow_drop,
            answers=answers,
        ),
        Answers.parse(rename or [], fill or [], no_rename=no_rename),
        no_input=no_input,
    )
    _say_kept(made.kept)
    for each in made.dropped:
        say(f"drops: {each}", style="yellow")
    _say_unseen(made.unseen)
    if made.path is None:
        say("No changes detected.")
    else:
        say(f"Wrote {made.path}. Read it, then run `python oppman.py migrate`.", style="green")


def _say_unseen(unseen: Sequence[str]) -> None:
    for each in unseen:
        say(f"to be written by hand: {in_one_line(each)}", style="yellow")
    if unseen:
        say("`python oppman.py makemigrations --empty` writes a migration to put it into.")


def _say_kept(kept: Sequence[str]) -> None:
    for each in kept:
        say(f"kept: not in your models: {in_one_line(each)}", style="yellow")
    if kept:
        say("`python oppman.py makemigrations --allow-drop` writes a migration that drops it.")


@command
async def sqlmigrate(
    revision: Annotated[str, typer.Argument(help="An id, like 0002.")],
    *,
    backwards: Annotated[bool, typer.Option("--backwards", help="The SQL that takes it back.")] = False,
) -> None:
    """Print the SQL of a migration without running it."""
    typer.echo(await migrate.sqlmigrate(_settings(), revision, "downgrade" if backwards else "upgrade"))


@command
async def showmigrations(*, as_json: JsonOption = False) -> None:
    """List the migrations and mark the applied ones."""
    states = await migrate.show_migrations(_settings())
    if as_json:
        emit_json([{"revision": s.revision, "title": s.title, "applied": s.applied} for s in states])
        return
    for state in states:
        say(f"[{'X' if state.applied else ' '}] {state.revision} {state.title}")


app.command("create")(makemigrations)
app.command("setup")(upgrade)
for _name, _function in (
    ("makemigrations", makemigrations),
    ("sqlmigrate", sqlmigrate),
    ("showmigrations", showmigrations),
):
    app.command(_name)(_function)
