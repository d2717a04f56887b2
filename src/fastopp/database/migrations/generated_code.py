"""The layout of a generated migration."""

from __future__ import annotations

import io
import tokenize

INDENT = 4  # blanks


def indent_brackets(source: str) -> str:
    """Indent the lines inside brackets, which Alembic leaves at the margin of the statement."""
    lines = source.splitlines(keepends=True)
    depth, margin, seen = 0, 0, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            continue
        row, column = token.start
        closing = token.type == tokenize.OP and token.string in ")]}"
        if row > seen and depth == 0:
            margin = column
        elif row > seen:
            blanks = margin + INDENT * (depth - closing)
            lines[row - 1] = " " * blanks + lines[row - 1].lstrip(" ")
        seen = token.end[0]  # the other lines of a long string are not to be touched
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - closing
    return "".join(lines)
