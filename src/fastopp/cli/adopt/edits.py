"""Changes of Python source at the positions of its syntax tree: comments and layout stay as they are."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import cast


@dataclass
class Source:
    """A module's text, with changes to make in it.

    Positions of `ast` count bytes of UTF-8, so the text is kept as bytes.
    """

    text: str
    tree: ast.Module = field(init=False)
    _data: bytes = field(init=False)
    _starts: list[int] = field(init=False)
    _edits: list[tuple[int, int, bytes]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.text = self.text.replace("\r\n", "\n").removeprefix("\ufeff")
        self.tree = ast.parse(self.text)
        self._data = self.text.encode()
        self._starts = [0]
        for line in self._data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.expr | ast.stmt | ast.arg | ast.alias) -> tuple[int, int]:
        """Return the first byte of a node and the one after it."""
        end_line, end_column = cast("int", node.end_lineno), cast("int", node.end_col_offset)
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[end_line - 1] + end_column

    def of(self, node: ast.expr | ast.stmt) -> str:
        """Return the text of a node."""
        begin, end = self.span(node)
        return self._data[begin:end].decode()

    def replace(self, node: ast.expr | ast.stmt | ast.arg | ast.alias, text: str) -> None:
        """Put a text in a node's place."""
        begin, end = self.span(node)
        self._edits.append((begin, end, text.encode()))

    def insert(self, position: int, text: str) -> None:
        """Put a text before a byte."""
        self._edits.append((position, position, text.encode()))

    @property
    def last_line(self) -> int:
        """The number of lines."""
        return len(self._starts) - 1

    def begin_of(self, line: int) -> int:
        """Return the first byte of a line, counted from 1."""
        return self._starts[line - 1]

    def drop_lines(self, first: int, last: int) -> None:
        """Remove whole lines, counted from 1."""
        self._edits.append((self._starts[first - 1], self._starts[last], b""))

    def lines(self, first: int, last: int) -> str:
        """Return whole lines, counted from 1."""
        return self._data[self._starts[first - 1] : self._starts[last]].decode()

    def import_position(self) -> int:
        """Return the byte where imports may be added: before the first, else after the docstring."""
        last = 0
        for position, statement in enumerate(self.tree.body):
            docstring = position == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
            if not (docstring or future):
                if isinstance(statement, ast.Import | ast.ImportFrom):
                    last = statement.lineno - 1
                break
            last = cast("int", statement.end_lineno)
        return self._starts[last]

    def result(self) -> str:
        """Return the text with all changes made; insertions first, and of two that overlap, the one
        that begins first or is longer."""
        pieces: list[bytes] = []
        at = 0
        for begin, end, text in sorted(self._edits, key=lambda edit: (edit[0], edit[0] != edit[1], -edit[1])):
            if begin < at:
                continue
            pieces += [self._data[at:begin], text]
            at = end
        return b"".join([*pieces, self._data[at:]]).decode()


def first_line(statement: ast.stmt) -> int:
    """Return the line at which a statement begins, its decorators included."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])
