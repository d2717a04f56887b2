"""Backup and restore of the uploaded files. Their place is the storage itself: what has arrived is found there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastopp.errors import FastOppError, Unavailable
from fastopp.features.jobs.running import run_until_stopped
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.retry import Retry
from fastopp.tasks.task import task

if TYPE_CHECKING:
    from fastopp.storage.sync.report import Comparison, Progress, TransferReport


class FilesMissed(FastOppError):
    """Some files were not transferred."""

    status = 502

    def __init__(self, report: TransferReport | Comparison) -> None:
        super().__init__(report.message)
        self.result = report.as_json()


AGAIN = Retry(attempts=3, first=30, on=(FilesMissed, Unavailable, OSError))  # what is away for a minute or two


@task(name="backup-files", lock="backup-files", queueing_lock="backup-files", retry=AGAIN)
async def backup_files(context: TaskContext) -> dict[str, Any]:
    """Copy the uploaded files to the Object Storage."""
    return await _run("backup", context)


@task(name="restore-files", lock="restore-files", queueing_lock="restore-files", retry=AGAIN)
async def restore_files(context: TaskContext, *, overwrite: bool = False) -> dict[str, Any]:
    """Copy the files in the Object Storage back; `overwrite` replaces newer ones, too."""
    return await _run("restore", context, overwrite=overwrite)


async def _run(job: Literal["backup", "restore"], context: TaskContext, *, overwrite: bool = False) -> dict[str, Any]:
    """Run a job, and report its progress now and then."""
    from fastopp.features.files.file_jobs import run_job  # noqa: PLC0415 - only who runs it needs it

    done = found = 0

    def note(progress: Progress) -> None:
        nonlocal done, found
        done, found = progress.done, progress.found

    async def tell() -> None:
        await context.progress(done, found, f"{done:,} of {found:,} files found so far")

    work = run_job(job, context.runtime, overwrite=overwrite, budget=context.budget_left(), progress=note)
    report = await run_until_stopped(context, work, tell)
    if report.status == "partial":
        raise Unfinished
    if report.status == "error":
        raise FilesMissed(report)
    return report.as_json()
