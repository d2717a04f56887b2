"""The one backup, restore or comparison of files that runs in this process, and what became of the last ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from fastopp.core.runtime import Runtime
from fastopp.errors import Conflict
from fastopp.storage.sync.report import Comparison, Progress, ProgressCallback, TransferReport
from fastopp.tasks.host import Host

Job = Literal["backup", "restore", "verify"]


class JobRuns(Conflict):
    """A backup, a restore or a comparison of files is already running."""

    hint = "Wait until it is done."


async def run_job(
    job: Job, runtime: Host, *, overwrite: bool = False, budget: float | None, progress: ProgressCallback
) -> TransferReport | Comparison:
    """Back up, restore or compare the uploaded files.

    Raises
    ------
    What `backup_files`, `bring_files` and `verify_uploads` do.
    """
    # Only who runs a job needs all this.
    from fastopp.storage.select import backup_storage  # noqa: PLC0415
    from fastopp.storage.sync.backup import backup_files  # noqa: PLC0415
    from fastopp.storage.sync.verify import verify_uploads  # noqa: PLC0415
    from fastopp.storage.sync.warm import bring_files  # noqa: PLC0415

    storage, folder = backup_storage(runtime.settings, runtime.storage), runtime.settings.upload_dir
    if job == "verify":
        return await verify_uploads(runtime.storage, storage, folder, progress=progress)
    if job == "backup":
        return await backup_files(storage, folder, budget=budget, progress=progress)
    return await bring_files(runtime.storage, storage, folder, overwrite=overwrite, budget=budget, progress=progress)


class FileJobs:
    """Runs them one at a time. Others, on other instances, are not known here: they disturb nothing."""

    def __init__(self) -> None:
        self.running: Job | None = None
        self.progress = Progress(0, 0, 0)
        self.finished: dict[Job, dict[str, Any]] = {}
        """The reports since the start of this process, each with `at`."""

    async def run(self, job: Job, runtime: Runtime, *, overwrite: bool = False) -> dict[str, Any]:
        """Run a job to its end, within the time that the platform gives to a request: its report.

        Raises
        ------
        JobRuns, and what `run_job` does.
        """
        if self.running is not None:
            raise JobRuns(f"A {self.running} of the files is already running.")
        self.running, self.progress = job, Progress(0, 0, 0)
        try:
            budget = runtime.settings.platform.request_budget
            done = await run_job(job, runtime, overwrite=overwrite, budget=budget, progress=self._tell)
        finally:
            self.running = None
        report = done.as_json() if job == "verify" else {"bucket": runtime.settings.s3_bucket} | done.as_json()
        self.finished[job] = report | {"at": datetime.now(UTC)}
        return report

    def _tell(self, progress: Progress) -> None:
        self.progress = progress


def as_text(report: Mapping[str, Any]) -> str:
    """Return the list in a report as lines; empty if there is nothing to list."""
    lines = [f"failed    {entry['key']}: {entry['reason']}" for entry in report["failed"]]
    lines += [f"left out  {entry['key']}: {entry['reason']}" for entry in report["left_out"]]
    lines += [f"differs   {key}" for key in report.get("differing", ())]
    lines += [f"differs   {key} (in the cache)" for key in report.get("differing_in_cache", ())]
    lines += [f"not in the Object Storage  {key}" for key in report.get("missing_in_storage", ())]
    lines += [f"not in the Object Storage  {key} (in the cache)" for key in report.get("only_in_cache", ())]
    lines += [f"not in the folder          {key}" for key in report.get("missing_in_folder", ())]
    return "\n".join(lines)
