"""The report of `fastopp adopt`: its steps, and the work left to do by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

FILE = "ADOPTED.md"


@dataclass(slots=True)
class Report:
    """Collected while the new project is written."""

    done: list[str] = field(default_factory=list)
    notes: list[tuple[str, int, str]] = field(default_factory=list)

    def did(self, text: str) -> None:
        """Record something that was done."""
        self.done.append(text)

    def left(self, path: Path, line: int, text: str) -> None:
        """Record something left to do, at a line of a file of the old project."""
        self.notes.append((path.as_posix(), line, text))

    def places(self) -> list[str]:
        """Return what is left as lines of `file:line: what to do`."""
        return [f"{path}:{line}: {text}" if line else f"{path}: {text}" for path, line, text in sorted(self.notes)]

    def as_markdown(self, old: Path) -> str:
        """Return the text of ADOPTED.md."""
        left = [f"- {place}" for place in self.places()] or ["Nothing."]
        heading = f"# Adopted from {old.name}\n\nWritten by `fastopp adopt`. The old project was not changed."
        return "\n".join([heading, "\n## Done\n", *(f"- {text}" for text in self.done), "\n## Left to do\n", *left, ""])
