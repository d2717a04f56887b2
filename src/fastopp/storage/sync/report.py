"""The report of a backup, a restore or a comparison: while it runs, and at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from fastopp.errors import Conflict

Status = Literal["success", "partial", "error"]
Difference = Literal["differing", "missing_in_storage", "missing_in_folder", "differing_in_cache", "only_in_cache"]

MAX_LISTED = 1000  # entries of a list in a report, so that its size does not grow with what went wrong


class LeftOut(Conflict):
    """The file is left out."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A file that was not copied, and why not."""

    key: str
    reason: str


@dataclass(slots=True)
class TransferReport:
    """The result of a backup or a restore, so far or at the end."""

    status: Status = "success"
    """`partial`: the time was up, and the next run does the rest. `error`: something failed."""
    message: str = ""
    """A sentence for people."""
    copied: int = 0
    """Files that were sent, and arrived."""
    skipped: int = 0
    """Files that were there already, with the same content."""
    failed: list[Remark] = field(default_factory=list)
    """Files that should have been copied and were not; the first 1,000 of them."""
    failed_count: int = 0
    left_out: list[Remark] = field(default_factory=list)
    """What is not for copying: links, hidden files, and what the other side has newer; the first 1,000."""
    left_out_count: int = 0
    bytes: int = 0
    """Sent."""
    seconds: float = 0.0

    @property
    def files_count(self) -> int:
        """Files that are now the same on both sides."""
        return self.copied + self.skipped

    def fail(self, key: str, reason: str) -> None:
        """Note a file that could not be copied."""
        self.failed_count += 1
        if len(self.failed) < MAX_LISTED:
            self.failed.append(Remark(key, reason))

    def leave_out(self, key: str, reason: str) -> None:
        """Note a file that is not for copying."""
        self.left_out_count += 1
        if len(self.left_out) < MAX_LISTED:
            self.left_out.append(Remark(key, reason))

    def as_json(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {**asdict(self), "files_count": self.files_count, "seconds": round(self.seconds, 3)}


@dataclass(slots=True)
class Comparison:
    """How a folder and the Object Storage differ. Lists hold the first 1,000 keys, counts count all."""

    matching: int = 0
    differing: list[str] = field(default_factory=list)
    differing_count: int = 0
    missing_in_storage: list[str] = field(default_factory=list)
    missing_in_storage_count: int = 0
    missing_in_folder: list[str] = field(default_factory=list)
    missing_in_folder_count: int = 0
    failed: list[Remark] = field(default_factory=list)
    """Files that could not be read."""
    failed_count: int = 0
    left_out: list[Remark] = field(default_factory=list)
    """What a backup would leave out; no difference."""
    left_out_count: int = 0
    bytes: int = 0
    """Of the files in the folder."""
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Files looked at so far."""
        return self.matching + self.differing_count + self.missing_in_storage_count + self.failed_count

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same files with the same content."""
        return not (self.differing_count or self.missing_in_storage_count or self.missing_in_folder_count) and (
            not self.failed_count
        )

    @property
    def message(self) -> str:
        """A sentence for people."""
        if self.equal:
            return f"Both sides are the same: {counted(self.matching)}."
        parts = [
            f"{self.differing_count:,} differ" if self.differing_count else "",
            f"{self.missing_in_storage_count:,} are not in the Object Storage" if self.missing_in_storage_count else "",
            f"{self.missing_in_folder_count:,} are not in the folder" if self.missing_in_folder_count else "",
            f"{self.failed_count:,} could not be read" if self.failed_count else "",
        ]
        return f"Of the files, {', '.join(filter(None, parts))}; {self.matching:,} match."

    def note(self, kind: Difference, key: str) -> None:
        """Count a difference, and keep its key while there is room."""
        setattr(self, f"{kind}_count", getattr(self, f"{kind}_count") + 1)
        keys: list[str] = getattr(self, kind)
        if len(keys) < MAX_LISTED:
            keys.append(key)

    def fail(self, key: str, reason: str) -> None:
        """Note a file that could not be read."""
        self.failed_count += 1
        if len(self.failed) < MAX_LISTED:
            self.failed.append(Remark(key, reason))

    def leave_out(self, key: str, reason: str) -> None:
        """Note what a backup would leave out."""
        self.left_out_count += 1
        if len(self.left_out) < MAX_LISTED:
            self.left_out.append(Remark(key, reason))

    def as_json(self) -> dict[str, Any]:
        """The comparison as JSON has it."""
        status = "success" if self.equal else "error"
        return {"status": status, "message": self.message, **asdict(self), "seconds": round(self.seconds, 3)}


class Progress(NamedTuple):
    """How far a backup, a restore or a comparison is."""

    done: int
    """Files dealt with."""
    found: int
    """Files found so far; more may follow."""
    bytes: int
    """Sent."""


ProgressCallback = Callable[[Progress], None]


def counted(number: int) -> str:
    """So many files, in words."""
    return "1 file" if number == 1 else f"{number:,} files"
