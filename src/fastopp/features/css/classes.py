"""The CSS classes that templates use, and those that the served CSS has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from fastopp.core.apps import App
from fastopp.features.css.compiling import DIRECTIVES, OUTPUT
from fastopp.features.css.templates import EXPRESSION, STATEMENT, Template, read_templates
from fastopp.web.templating import FRAMEWORK_STATIC

_SELECTOR: Final = re.compile(r"\.((?:\\[0-9a-fA-F]{1,6}\s?|\\.|[A-Za-z_\-])(?:\\[0-9a-fA-F]{1,6}\s?|\\.|[\w\-])*)")
_ESCAPE: Final = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))")
_WORD: Final = re.compile(r"[\w\-]+")
_MARKERS: Final = re.compile(r"(group|peer)(/.*)?")  # Tailwind names them in the selectors of other classes only


class UsedClass(NamedTuple):
    """A class in a template."""

    path: str
    line: int
    name: str


def needs_compiling(project: Path, apps: Sequence[App]) -> bool:
    """Return whether the project has its own CSS, or uses classes that the framework's CSS lacks."""
    own = (project / OUTPUT, project / DIRECTIVES)
    return any(path.is_file() for path in own) or any(True for _ in unknown_classes(project, apps))


def unknown_classes(project: Path, apps: Sequence[App]) -> Iterator[UsedClass]:
    """Yield the classes of templates that neither a stylesheet nor a script of the project knows.

    A class that a template composes (`btn-{{ size }}`) is left out.
    """
    known: set[str] | None = None
    for template in read_templates(project, apps):
        known = known or _known(project, apps)
        for used in _used(template):
            if used.name not in known and not _MARKERS.fullmatch(used.name):
                yield used


def classes_of(css: str) -> set[str]:
    """Return the classes in the selectors of a stylesheet."""
    return {_ESCAPE.sub(_unescaped, name) for name in _SELECTOR.findall(css)}


def _used(template: Template) -> Iterator[UsedClass]:
    values = [(tag.line, tag.attributes.get("class", "")) for tag in template.tags]
    for line, value in [*values, *template.arguments]:
        for word in value.split():
            whole = [part for part in word.split(STATEMENT) if part]
            if EXPRESSION not in word and len(whole) == 1:
                yield UsedClass(template.path, line, whole[0])


def _known(project: Path, apps: Iterable[App]) -> set[str]:
    own = project / OUTPUT
    served = own if own.is_file() else FRAMEWORK_STATIC / "app.css"
    known = classes_of(served.read_text(encoding="utf-8"))
    for folder in (project / "static", FRAMEWORK_STATIC, *(app.folder / "static" for app in apps)):
        for path in folder.rglob("*.css"):
            if path not in (own, FRAMEWORK_STATIC / "app.css"):
                known |= classes_of(path.read_text(encoding="utf-8", errors="replace"))
        for path in folder.rglob("*.js"):  # a script finds its elements by class
            known.update(_WORD.findall(path.read_text(encoding="utf-8", errors="replace")))
    return known


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2]
