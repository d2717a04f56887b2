"""Recognise FastOpp 0.4's own code in an old project by digests of its statements and files."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Self

from fastopp.cli.adopt.edits import Source, first_line

DIGITS = 12  # of a digest
LIST = "known_0_4.txt"


def digest(text: str) -> str:
    """Return the digest of a text; blanks and line ends do not count."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:DIGITS]


@dataclass(frozen=True)
class Known:
    """The digests of top-level statements and of whole files."""

    digests: frozenset[str]

    @classmethod
    def shipped(cls) -> Self:
        """Return those of FastOpp 0.4.1 to 0.4.8."""
        text = resources.files("fastopp.cli.adopt").joinpath(LIST).read_text(encoding="ascii")
        return cls(frozenset(text.split()))

    @classmethod
    def of(cls, files: Iterable[Path]) -> Self:
        """Return those of some files."""
        return cls(frozenset(found for path in files for found in _digests(path)))

    def statement(self, source: Source, statement: ast.stmt) -> bool:
        """Return whether a top-level statement is FastOpp's, unchanged."""
        return digest(source.lines(first_line(statement), statement.end_lineno or 0)) in self.digests

    def file(self, path: Path) -> bool:
        """Return whether a file is FastOpp's, unchanged."""
        return _file_digest(path.read_bytes()) in self.digests


def _file_digest(data: bytes) -> str:
    try:
        return digest(data.decode())
    except UnicodeDecodeError:
        return hashlib.sha256(data).hexdigest()[:DIGITS]


def _digests(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    yield _file_digest(data)
    if path.suffix == ".py":
        source = Source(data.decode())
        for statement in source.tree.body:
            yield digest(source.lines(first_line(statement), statement.end_lineno or 0))
