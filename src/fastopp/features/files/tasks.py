"""Backup and restore of the uploaded files. Their place is the storage itself: what has arrived is found there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastopp.errors import FastOppError, Unavailable
from fastopp.features.jobs.running import run_until_stopped
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.task import Retry, task

if TYPE_CHECKING:
    from fastopp.storage.sync.report import Progress, TransferReport


class FilesMissed(FastOppError):
    """Some files were not transferred."""

    status = 502

    def __init__(self, report: TransferReport) -> None:
        super().__init__(report.message)
        self.result = report.as_json()


AGAIN = Retry(attempts=3, first=30, on=(FilesMissed, Unavailable, OSError))  # what is away for a minute or two


@task(name="backup-files", lock="backup-files", queueing_lock="backup-files", retry=AGAIN)
async def backup_files(context: TaskContext) -> dict[str, Any]:
    """Copy the uploaded files to the Object Storage."""
    from fastopp.storage.destination import backup_storage  # noqa: PLC0415
    from fastopp.storage.sync import backup  # noqa: PLC0415 - only who runs it needs it

    runtime, progress = context.runtime, _Progress(context)
    work = backup.backup_files(
        backup_storage(runtime.settings, runtime.storage),
        runtime.settings.upload_dir,
        budget=context.budget_left(),
        progress=progress.note,
    )
    return _result(await run_until_stopped(context, work, progress.tell))


@task(name="restore-files", lock="restore-files", queueing_lock="restore-files", retry=AGAIN)
async def restore_files(context: TaskContext, *, overwrite: bool = False) -> dict[str, Any]:
    """Copy the files in the Object Storage back; `overwrite` replaces newer ones, too."""
    from fastopp.storage.destination import backup_storage  # noqa: PLC0415
    from fastopp.storage.sync import warm  # noqa: PLC0415 - only who runs it needs it

    runtime, progress = context.runtime, _Progress(context)
    work = warm.bring_files(
        runtime.storage,
        backup_storage(runtime.settings, runtime.storage),
        runtime.settings.upload_dir,
        overwrite=overwrite,
        budget=context.budget_left(),
        progress=progress.note,
    )
    return _result(await run_until_stopped(context, work, progress.tell))


class _Progress:
    """The progress of a transfer: recorded for each file, reported now and then."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._done, self._found = 0, 0

    def note(self, progress: Progress) -> None:
        self._done, self._found = progress.done, progress.found

    async def tell(self) -> None:
        await self._context.progress(self._done, self._found, f"{self._done:,} of {self._found:,} files found so far")


def _result(report: TransferReport) -> dict[str, Any]:
    if report.status == "partial":
        raise Unfinished
    if report.status == "error":
        raise FilesMissed(report)
    return report.as_json()
