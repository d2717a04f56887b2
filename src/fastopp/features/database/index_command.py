"""`oppman.py db indexes`: what the database lacks, what is not used, and a migration for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fastopp.console.options import JsonOption
from fastopp.console.output import command, emit_json, print_table, say
from fastopp.console.project import load_project
from fastopp.core.mappers import configure_models
from fastopp.database.engine import create_engine, in_autocommit
from fastopp.database.migrations import migrate
from fastopp.features.database.indexes import (
    Findings,
    MissingIndex,
    admin_wishes,
    create_statements,
    find_indexes,
)
from fastopp.settings import Settings

_ONCE = "if_not_exists=True"
BUILD_TIMEOUT = 3600.0  # seconds for one index: a command in a terminal is watched


@command
async def indexes(
    *,
    create: Annotated[
        bool, typer.Option("--create", help="Build missing indexes now, while the site is used.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Write a migration that creates them, in every database.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Find missing indexes of foreign keys, orders and filters, and on PostgreSQL those that are not used."""
    from fastopp.features.accounts import models as _models  # noqa: PLC0415, F401 - relations may name its User

    project = load_project()
    configure_models(project.apps)
    wishes = admin_wishes([view for app in project.apps for view in app.admin_views()])
    engine = create_engine(project.settings.database, pool_size=1, max_overflow=0, timeout=BUILD_TIMEOUT)
    built: list[str] = []
    try:
        async with in_autocommit(engine).connect() as connection:
            found = await connection.run_sync(lambda sync: find_indexes(sync, wishes))
            statements = create_statements(engine.sync_engine, found.missing, found.unfinished) if create else []
            for statement in statements:
                if not as_json:
                    say(f"{statement} …")
                await connection.exec_driver_sql(statement)
                built.append(statement)
    finally:
        await engine.dispose()
    path = await _write(project.settings, found.missing) if write and found.missing else None
    if as_json:
        emit_json({
            "missing": [{**each._asdict(), "name": each.name} for each in found.missing],
            "unused": [each._asdict() for each in found.unused],
            "unfinished": list(found.unfinished),
            "built": built,
            "migration": str(path) if path else None,
        })  # fmt: skip
        return
    _print(found, created=create)
    if path:
        say(f"Wrote {path}. It skips indexes that are there: build them first with --create where tables are large.")


def _print(found: Findings, *, created: bool) -> None:
    if found.missing:
        rows = [[each.table, ", ".join(each.columns), each.reason, each.name] for each in found.missing]
        print_table(["Table", "Columns", "For", "Index"], rows)
        if created:
            say("They were built. Name them in the models too: `index=True` of a field, or an Index.", style="green")
        else:
            say("`--write` writes a migration, `--create` builds them now. Add them to the models too: `index=True`.")
    else:
        say("No index is missing.", style="green")
    if found.unfinished and not created:
        say(
            f"Not finished, so without use: {', '.join(found.unfinished)}. `--create` drops them and builds them again."
        )
    if found.unused:
        print_table(
            ["Table", "Unused index", "Bytes"], [[each.table, each.name, f"{each.bytes:,}"] for each in found.unused]
        )
        say("No statement has used them since the server's statistics began. Look again after a week of real use.")


async def _write(settings: Settings, missing: Sequence[MissingIndex]) -> Path | None:
    """Write the migration. All run in one transaction, which must not contain CONCURRENTLY."""
    written = await migrate.make_migration(settings, "Indexes", autogenerate=False)
    if written.path is None:
        return None
    await asyncio.to_thread(_fill, written.path, missing)
    return written.path


def _fill(path: Path, missing: Sequence[MissingIndex]) -> None:
    creates = [
        f"op.create_index({each.name!r}, {each.table!r}, {list(each.columns)!r}, if_not_exists=True)"
        for each in missing
    ]
    drops = [f"op.drop_index({each.name!r}, table_name={each.table!r}, if_exists=True)" for each in reversed(missing)]
    source = path.read_text(encoding="utf-8")
    for lines in (creates, drops):
        source = source.replace("    pass\n", "".join(f"    {line}\n" for line in lines).replace("'", '"'), 1)
    path.write_text(source, encoding="utf-8")
