"""A project's templates as HTML whose dynamic parts are marked, so that they can be checked without rendering them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from jinja2 import Environment, TemplateSyntaxError

from fastopp.core.apps import App

EXPRESSION: Final = "\x02"  # in place of {{ … }}
STATEMENT: Final = "\x03"  # in place of {% … %}


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag and its attributes; their values are empty where there is none."""

    line: int
    name: str
    attributes: dict[str, str]


MAILS = "mail"


@dataclass(slots=True)
class Template:
    """One template: its path from the project's folder, its tags, and the `class="…"` of calls in expressions."""

    path: str
    tags: list[Tag] = field(default_factory=list)
    arguments: list[tuple[int, str]] = field(default_factory=list)


def read_templates(project: Path, apps: Iterable[App]) -> Iterator[Template]:
    """Read the templates of a project and its apps.

    Those that Jinja cannot read are left out, and those in a folder `mail`: mail programs have no other styles than
    inline ones, and no policy forbids them.
    """
    for folder in (project / "templates", *(app.folder / "templates" for app in apps)):
        for path in sorted(folder.rglob("*.html")):
            if MAILS in path.relative_to(folder).parts[:-1]:
                continue
            name = path.relative_to(project).as_posix() if path.is_relative_to(project) else str(path)
            try:
                yield parse_template(name, path.read_text(encoding="utf-8"))
            except (TemplateSyntaxError, UnicodeDecodeError):
                continue


def parse_template(path: str, source: str) -> Template:
    """Parse a template. Raises jinja2.TemplateSyntaxError."""
    template = Template(path)
    reader = _Reader(template.tags)
    reader.feed(_html_of(source, template))
    reader.close()
    return template


def _html_of(source: str, template: Template) -> str:
    """Return the HTML with marks, on the lines of the source; collect class arguments on the way."""
    parts: list[str] = []
    lines = 0
    last: tuple[str, ...] = ("", "", "")
    for line, kind, value in Environment(autoescape=True).lex(source):
        if kind == "data":
            parts.append("\n" * (line - 1 - lines) + value)
            lines = max(lines, line - 1) + value.count("\n")
        elif kind == "variable_begin":
            parts.append(EXPRESSION)
        elif kind == "block_begin":
            parts.append(STATEMENT)
        elif kind == "string" and last[-2:] == ("class", "="):
            template.arguments.append((line, value[1:-1]))
        if kind not in ("whitespace", "data"):
            last = (*last[-1:], value)
    return "".join(parts)


class _Reader(HTMLParser):
    def __init__(self, tags: list[Tag]) -> None:
        super().__init__()
        self._tags = tags

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tags.append(Tag(self.getpos()[0], tag, {name: value or "" for name, value in attrs}))
