"""The report of a backup, a restore or a comparison: while it runs, and at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from fastopp.errors import Conflict

Status = Literal["success", "partial", "error"]
Kind = Literal[
    "failed", "left_out", "differing", "missing_in_storage", "missing_in_folder", "differing_in_cache", "only_in_cache"
]  # fmt: skip

MAX_LISTED = 1000  # entries of a list in a report, so that its size does not grow with what went wrong


class LeftOut(Conflict):
    """The file is left out."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A file that was not copied, and why not."""

    key: str
    reason: str


@dataclass
class Report:
    """The result for the files of a run. Lists hold the first 1,000 entries, counts count all."""

    failed: list[Remark] = field(default_factory=list)
    """Files that could not be copied or read."""
    failed_count: int = 0
    left_out: list[Remark] = field(default_factory=list)
    """Files that are not copied: links, hidden files, and those that the other side has newer."""
    left_out_count: int = 0
    bytes: int = 0
    """Sent, or compared."""
    seconds: float = 0.0

    def note(self, kind: Kind, entry: str | Remark) -> None:
        """Count an entry of a list, and keep it while there is room."""
        setattr(self, f"{kind}_count", getattr(self, f"{kind}_count") + 1)
        entries: list[str | Remark] = getattr(self, kind)
        if len(entries) < MAX_LISTED:
            entries.append(entry)

    def fail(self, key: str, reason: str) -> None:
        """Note a file that could not be copied or read."""
        self.note("failed", Remark(key, reason))

    def leave_out(self, key: str, reason: str) -> None:
        """Note a file that is not for copying."""
        self.note("left_out", Remark(key, reason))

    def as_json(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


@dataclass
class TransferReport(Report):
    """The result of a backup or a restore, so far or at the end."""

    status: Status = "success"
    """`partial`: the time was up, and the next run does the rest. `error`: something failed."""
    message: str = ""
    """A sentence for people."""
    copied: int = 0
    """Files that were sent, and arrived."""
    skipped: int = 0
    """Files that were there already, with the same content."""

    @property
    def files_count(self) -> int:
        """Files that are now the same on both sides."""
        return self.copied + self.skipped

    def as_json(self) -> dict[str, Any]:
        """See Report.as_json."""
        return super().as_json() | {"files_count": self.files_count}


@dataclass
class Comparison(Report):
    """The differences between a folder and the Object Storage. Files that a backup leaves out are no difference."""

    matching: int = 0
    differing: list[str] = field(default_factory=list)
    differing_count: int = 0
    missing_in_storage: list[str] = field(default_factory=list)
    missing_in_storage_count: int = 0
    missing_in_folder: list[str] = field(default_factory=list)
    missing_in_folder_count: int = 0

    @property
    def done(self) -> int:
        """Files looked at so far."""
        return self.matching + self.differing_count + self.missing_in_storage_count + self.failed_count

    @property
    def differences(self) -> int:
        """Files that are not the same on both sides, or could not be read."""
        return self.differing_count + self.missing_in_storage_count + self.missing_in_folder_count + self.failed_count

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same files with the same content."""
        return not self.differences

    @property
    def status(self) -> Status:
        """As `TransferReport` has it: `error` for differences."""
        return "success" if self.equal else "error"

    @property
    def message(self) -> str:
        """A sentence for people."""
        if self.equal:
            return f"Both sides are the same: {counted(self.matching)}."
        counts = (
            (self.differing_count, "differ"),
            (self.missing_in_storage_count, "are not in the Object Storage"),
            (self.missing_in_folder_count, "are not in the folder"),
            (self.failed_count, "could not be read"),
        )
        found = ", ".join(f"{count:,} {verb}" for count, verb in counts if count)
        return f"Of the files, {found}; {self.matching:,} match."

    def as_json(self) -> dict[str, Any]:
        """See Report.as_json."""
        return {"status": self.status, "message": self.message} | super().as_json()


class Progress(NamedTuple):
    """The progress of a backup, a restore or a comparison."""

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
