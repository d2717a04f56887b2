"""`oppman.py static`: put the static files at the CDN, and check that they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from fastopp.console.main_file import find_project_apps
from fastopp.console.options import JsonOption
from fastopp.console.output import EXIT_MISUSED, command, complain, emit_json, fail, say
from fastopp.errors import FastOppError
from fastopp.features.static_files.publishing import KEPT, StaticSet, static_settings, upload, verify
from fastopp.settings import Settings, read_variables
from fastopp.web.published import PublishedSet, remove_note, write_note
from fastopp.web.setup import static_folders

app = typer.Typer(help="Static files at a CDN: put them there, and check that they are there.", no_args_is_help=True)

FileOption = Annotated[
    Path | None, typer.Option("--env-file", help="Read the S3_ variables and STATIC_CDN_URL from this file only.")
]


@app.command("upload")
@command
async def upload_files(
    file: FileOption = None,
    keep: Annotated[int, typer.Option(min=1, help="Sets of static files to keep, this one included.")] = KEPT,
    *,
    as_json: JsonOption = False,
) -> None:
    """Store the static files in the bucket, check that browsers get them, and have this build use them."""
    published, sent = await publish(_settings(file), keep=keep)
    if as_json:
        emit_json({"set": published.id, "address": published.address, "files": len(published.files), "sent": sent})
    else:
        say(f"{len(published.files)} static files are at {published.address}; {sent} were sent.", style="green")


@app.command("verify")
@command
async def verify_files(file: FileOption = None) -> None:
    """Load every static file from the CDN, and have this build use them if all are right."""
    remove_note(Path.cwd())
    published = await verify(await asyncio.to_thread(_read), _settings(file))
    write_note(Path.cwd(), published)
    say(f"{len(published.files)} static files are at {published.address}.", style="green")


async def publish(settings: Settings, *, keep: int = KEPT) -> tuple[PublishedSet, int]:
    """Upload and verify. Pages use the CDN only after both. Return the set and the number of files that were sent."""
    remove_note(Path.cwd())
    static = await asyncio.to_thread(_read)
    published, sent = await upload(static, settings, keep=keep)
    await verify(static, settings)
    write_note(Path.cwd(), published)
    return published, sent


def publish_in_build(variables: Mapping[str, str]) -> None:
    """Publish if STATIC_CDN_URL is set; without the S3_ variables only verify. A failure does not end the build."""
    remove_note(Path.cwd())
    if not variables.get("STATIC_CDN_URL", "").strip():
        return
    try:
        settings = static_settings(variables)
        if settings.has_object_storage:
            published = asyncio.run(publish(settings))[0]
        else:
            published = asyncio.run(verify(_read(), settings))
            write_note(Path.cwd(), published)
    except FastOppError as error:
        complain(error)
        say("Pages will use this site's /static instead of the CDN.", style="yellow")
    else:
        say(f"{len(published.files)} static files are at {published.address}.")


def _settings(file: Path | None) -> Settings:
    if file is not None and not file.is_file():
        fail(f"There is no file {file}.", status=EXIT_MISUSED)
    variables, _ = read_variables(None if file is None else {}, env_file=file)
    return static_settings(variables)


def _read() -> StaticSet:
    return StaticSet.read(static_folders(find_project_apps(), Path.cwd()))
