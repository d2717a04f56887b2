"""The static files, and the colours of the pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from fastopp.cli.adopt.data import UPLOADS
from fastopp.cli.adopt.old_project import OldProject
from fastopp.web.templating import FRAMEWORK_STATIC

_PROPERTIES = {
    "text": "color: {0}",
    "bg": "background-color: {0}",
    "border": "border-color: {0}",
    "fill": "fill: {0}",
    "stroke": "stroke: {0}",
    "ring": "--tw-ring-color: {0}",
    "accent": "accent-color: {0}",
    "from": "--tw-gradient-from: {0}; --tw-gradient-stops: var(--tw-gradient-via-stops, var(--tw-gradient-position), "
    "var(--tw-gradient-from) var(--tw-gradient-from-position), var(--tw-gradient-to) var(--tw-gradient-to-position))",
    "to": "--tw-gradient-to: {0}; --tw-gradient-stops: var(--tw-gradient-via-stops, var(--tw-gradient-position), "
    "var(--tw-gradient-from) var(--tw-gradient-from-position), var(--tw-gradient-to) var(--tw-gradient-to-position))",
}
_STATES = {"hover": ":hover", "focus": ":focus", "active": ":active", "disabled": ":disabled"}


def copy_statics(project: OldProject, folder: Path, app: str, texts: Iterable[str]) -> dict[str, str]:
    """Copy the project's static files, and those of FastOpp 0.4.8 that its pages name; they keep their addresses.

    Returns the new path of each file that would hide one of the framework's.
    """
    all_text = "\n".join(texts)
    own = set(project.own_files("static"))
    moved = {}
    for path in project.files("static"):
        name = path.relative_to("static").as_posix()
        if path.is_relative_to(UPLOADS) or not (path in own or name in all_text):
            continue
        if (FRAMEWORK_STATIC / name).exists():
            moved[name] = f"{app}/{name}"
        target = folder / "static" / moved.get(name, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project.root / path, target)
    return moved


def theme(colours: dict[str, str], texts: Iterable[str]) -> str:
    """Return the rules of the classes with colours of the project's own that its pages use, like `hover:bg-brand`."""
    names = "|".join(map(re.escape, sorted(colours, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![\w:-])((?:[\w-]+:)*)({'|'.join(_PROPERTIES)})-({names})(?:/(\d+))?(?![\w/-])")
    rules = {found[0]: _rule(found, colours[found[3]]) for text in texts for found in pattern.finditer(text)}
    variables = "".join(f"  --color-{name}: {value};\n" for name, value in colours.items())
    return f"/* The colours of the project's old tailwind.config. */\n:root {{\n{variables}}}\n" + "".join(
        rules[each] for each in sorted(rules) if rules[each]
    )


def tailwind(colours: dict[str, str]) -> str:
    """Return the colours as a theme of Tailwind, to compile with."""
    return "@theme {\n" + "".join(f"  --color-{name}: {value};\n" for name, value in colours.items()) + "}\n"


def _rule(found: re.Match[str], value: str) -> str:
    colour = value if found[4] is None else f"color-mix(in oklab, {value} {found[4]}%, transparent)"
    selector = "." + re.sub(r"([:/])", r"\\\1", found[0])
    for state in filter(None, found[1].split(":")):
        if state == "group-hover":
            selector = f".group:hover {selector}"
        elif state not in _STATES:
            return ""
        else:
            selector += _STATES[state]
    return f"{selector} {{ {_PROPERTIES[found[2]].format(colour)}; }}\n"
