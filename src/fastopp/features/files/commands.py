"""`oppman.py files`: uploaded files to the Object Storage, back, and whether both sides are the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from fastopp.console.options import JsonOption, YesOption
from fastopp.console.output import (
    EXIT_FAILED,
    command,
    confirm,
    emit_json,
    error_console,
    in_one_line,
    print_table,
    say,
)
from fastopp.console.project import load_project
from fastopp.features.files.status import read_status
from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.storage.local import LocalStorage
from fastopp.storage.select import backup_storage, open_storage
from fastopp.storage.sync.backup import backup_files
from fastopp.storage.sync.listing import Listing
from fastopp.storage.sync.parts_journal import abort_abandoned
from fastopp.storage.sync.prune import remove_files, surplus_in_folder, surplus_in_storage
from fastopp.storage.sync.report import Comparison, Progress, ProgressCallback, Remark, TransferReport, counted
from fastopp.storage.sync.restore import restore_files
from fastopp.storage.sync.verify import CacheComparison, verify_uploads

SHOWN = 20  # failures that are listed for people; --json has more

app = typer.Typer(help="Back up, restore and compare uploaded files.", no_args_is_help=True)


@app.command("backup")
@command
async def backup(
    *,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Then delete files there that the folder does not have, after listing them."),
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Upload files that the Object Storage does not have with this content. A second run uploads only the rest."""
    settings = load_project().settings
    storage, folder = backup_storage(settings), settings.upload_dir
    with _progress("Backing up", quiet=as_json) as progress:
        report = await backup_files(storage, folder, progress=progress)
    pruned: list[str] | None = [] if prune else None
    if prune and report.status == "success":
        surplus = await surplus_in_storage(storage, folder)
        pruned = await _prune(storage, surplus, "the Object Storage", yes=yes, quiet=as_json)
    _conclude(report, settings, as_json=as_json, pruned=pruned)


@app.command("restore")
@command
async def restore(
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also replace newer files in the folder.")] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Then delete files here that are not there, after listing them."),
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Download files that the folder does not have with this content. Keeps newer files in the folder."""
    settings = load_project().settings
    storage, folder = backup_storage(settings), settings.upload_dir
    with _progress("Restoring", quiet=as_json) as progress:
        report = await restore_files(storage, folder, overwrite=overwrite, progress=progress)
    pruned: list[str] | None = [] if prune else None
    if prune and report.status == "success":
        surplus = await surplus_in_folder(storage, folder)
        pruned = await _prune(LocalStorage(folder), surplus, str(folder), yes=yes, quiet=as_json)
    _conclude(report, settings, as_json=as_json, pruned=pruned)


@app.command("verify")
@command
async def verify(*, as_json: JsonOption = False) -> None:
    """Compare the content of both sides without changes. Status 1 if they differ.

    When uploads are stored in the Object Storage, this side is its cache: a file that is not cached is no difference.
    """
    settings = load_project().settings
    storage = open_storage(settings)
    with _progress("Comparing", quiet=as_json) as progress:
        result = await verify_uploads(
            storage, backup_storage(settings, storage), settings.upload_dir, progress=progress
        )
    if as_json:
        emit_json(result.as_json())
    else:
        _say_remarks("left out", result.left_out, result.left_out_count, "yellow")
        _say_differences(result)
        say(result.message, style="green" if result.equal else "red")
    if not result.equal:
        raise typer.Exit(EXIT_FAILED)


@app.command("status")
@command
async def status(*, as_json: JsonOption = False) -> None:
    """Count the files on both sides and in the cache, and list those that no row names."""
    from fastopp.core.runtime import open_runtime  # noqa: PLC0415 - imports SQLAlchemy

    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime:
        found = await read_status(runtime)
    if as_json:
        emit_json(found.as_json())
        return
    print_table(["Where", "Files", "MB"], [[w.name, f"{w.files:,}", f"{w.size / 1e6:,.1f}"] for w in found.places])
    for key in found.unclaimed[:SHOWN]:
        say(f"unclaimed  {key}", style="yellow")
    if len(found.unclaimed) > SHOWN:
        say(f"… and {len(found.unclaimed) - SHOWN:,} more; --json lists them.", style="yellow")
    if found.unclaimed:
        say(f"{counted(len(found.unclaimed))} that no row of this project names: `oppman.py files clean --unclaimed`.")
    if found.unknown:
        say(f"Unclaimed files cannot be listed: {found.unknown}", style="yellow")


@app.command("clean")
@command
async def clean(
    *,
    unclaimed: Annotated[
        bool,
        typer.Option("--unclaimed", help="Also delete files that no row names, after listing them."),
    ] = False,
    yes: YesOption = False,
) -> None:
    """Remove the remains of interrupted uploads, and discarded files. Keeps files that no row names."""
    from fastopp.core.runtime import open_runtime  # noqa: PLC0415 - imports SQLAlchemy
    from fastopp.storage.sweep import find_unclaimed, remove_leftovers, remove_unclaimed  # noqa: PLC0415 - as above

    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime:
        engine, storage = runtime.database.engine, runtime.storage
        if project.settings.has_object_storage:
            bucket = backup_storage(project.settings, storage)
            aborted = await abort_abandoned(bucket, project.settings.upload_dir, now=runtime.clock.now())
            if aborted:
                say(f"{aborted:,} upload(s) to the Object Storage that were never completed were aborted.")
        removed = await remove_leftovers(engine, storage, clock=runtime.clock)
        if unclaimed:
            keys = [file.key async for file in find_unclaimed(engine, storage, clock=runtime.clock)]
            for key in keys:
                say(f"to delete  {key}", style="yellow")
            if keys:
                question = f"No row of this project names {counted(len(keys))}. Delete for good?"
                confirm(question, yes=yes)
            removed += await remove_unclaimed(engine, storage, keys)
    say(f"{counted(removed)} removed.")


@contextmanager
def _progress(verb: str, *, quiet: bool) -> Iterator[ProgressCallback | None]:
    """A progress bar on standard error, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.progress import Progress as ProgressBar  # noqa: PLC0415 - 30 ms that a pipe does not need

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[size]}")
    with ProgressBar(*columns, TimeElapsedColumn(), console=error_console, transient=True) as bar:
        task = bar.add_task(verb, total=None, size="")

        def tell(progress: Progress) -> None:
            size = f"{progress.bytes / 1e6:,.1f} MB" if progress.bytes else ""
            bar.update(task, completed=progress.done, total=progress.found, size=size)

        yield tell


async def _prune(storage: Storage, surplus: Listing, where: str, *, yes: bool, quiet: bool) -> list[str]:
    """Delete files after listing them and asking; never more than a person can check. Return their keys."""
    with surplus:
        keys = list(surplus.keys())
    if not quiet:
        for key in keys:
            say(f"to delete  {key}", style="yellow")
    if keys:
        confirm(f"Delete {counted(len(keys))} from {where}?", yes=yes)
    await remove_files(storage, keys)
    return keys


def _conclude(report: TransferReport, settings: Settings, *, as_json: bool, pruned: list[str] | None) -> None:
    if as_json:
        answer: dict[str, Any] = {"bucket": settings.s3_bucket} | report.as_json()
        emit_json(answer if pruned is None else answer | {"pruned": pruned})
    else:
        _say_remarks("left out", report.left_out, report.left_out_count, "yellow")
        _say_remarks("failed", report.failed, report.failed_count, "red")
        say(report.message, style={"success": "green", "partial": "yellow", "error": "red"}[report.status])
        if pruned is not None:
            say(f"{counted(len(pruned))} deleted.")
    if report.status != "success":
        raise typer.Exit(EXIT_FAILED)


def _say_remarks(what: str, remarks: list[Remark], count: int, style: str) -> None:
    for remark in remarks[:SHOWN]:
        say(f"{what}  {in_one_line(remark.key)}: {remark.reason}", style=style)
    if count > SHOWN:
        say(f"{what}  and {count - SHOWN:,} more", style=style)


def _say_differences(result: Comparison) -> None:
    """As `rclone check --combined` marks them, so that programs that know it can read them."""
    differences = [
        ("*", result.differing, result.differing_count, ""),
        ("+", result.missing_in_storage, result.missing_in_storage_count, ""),
        ("-", result.missing_in_folder, result.missing_in_folder_count, ""),
    ]
    if isinstance(result, CacheComparison):
        differences += [
            ("*", result.differing_in_cache, result.differing_in_cache_count, " (in the cache)"),
            ("+", result.only_in_cache, result.only_in_cache_count, " (in the cache)"),
        ]
    for mark, keys, count, where in differences:
        for key in keys:
            say(f"{mark} {key}{where}")
        if count > len(keys):
            say(f"{mark} and {count - len(keys):,} more{where}")
    for remark in result.failed:
        say(f"! {in_one_line(remark.key)}: {remark.reason}")
