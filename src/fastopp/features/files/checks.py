"""Checks of where uploaded files live that connect to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext


@check(
    "fastopp.E201",
    "The Object Storage settings are incomplete or invalid",
    fix="Set S3_ACCESS_KEY, S3_SECRET_KEY and S3_BUCKET, as the dashboard shows them.",
    subject=Subject.STORAGE,
)
def object_storage_settings(context: CheckContext) -> Iterator[Problem]:
    """With incomplete settings, uploaded files would be lost silently."""
    for problem in context.setting_problems:
        if problem.variable.startswith("S3_"):
            yield Problem(f"{problem.variable}: {problem.what}", problem.fix)


@check(
    "fastopp.W202",
    "Uploaded files will be lost",
    fix="Create an Object Storage and set its S3_ variables (docs/files.md).",
    subject=Subject.STORAGE,
)
def files_do_not_last(context: CheckContext) -> Iterator[Problem]:
    """This platform has no persistent disk, and the next request may reach an instance without the file."""
    if not context.platform.persistent_disk and not context.settings.uses_object_storage:
        yield Problem(f"No Object Storage is set up, and {context.platform.title} has no persistent disk.")


@check(
    "fastopp.W203",
    "Files are not served by the CDN",
    fix="Set S3_CDN_URL to the bucket's public URL, including the bucket's name.",
    subject=Subject.STORAGE,
)
def no_cdn(context: CheckContext) -> Iterator[Problem]:
    """Each picture is then a request to the application, which wakes an instance and uses its time."""
    settings = context.settings
    if settings.uses_object_storage and not settings.s3_cdn_url and not context.platform.persistent_disk:
        yield Problem("S3_CDN_URL is not set.")


@check(
    "fastopp.E204",
    "The upload folder is read-only",
    fix="Remove UPLOAD_DIR, whose default can be written to, or use a folder in /tmp.",
    subject=Subject.STORAGE,
)
def folder_not_writable(context: CheckContext) -> Iterator[Problem]:
    """On a read-only disk only /tmp is writable; other writes fail with "Read-only file system"."""
    folder, platform = context.settings.upload_dir, context.platform
    if not platform.writable_root and not _is_below(folder, Path(platform.writable_folder)):
        yield Problem(f"UPLOAD_DIR is {folder}.")


def _is_below(folder: Path, other: Path) -> bool:
    return folder.is_absolute() and ".." not in folder.parts and folder.is_relative_to(other)
