"""docs/tutorial.md as a list of steps: the lines to run, and the files to write."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.services.site import succeed

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"

_NAMED = re.compile(r"(?:# |\{# |/\* )([\w./]+\.\w+)(?: #\}| \*/)?\n")

# Runs a line in the background and returns once it answers.
_SERVE = """
set -eux
serve() {
    "$@" >../server.log 2>&1 &
    SERVER=$!
    for _ in $(seq 300); do
        if curl --silent --fail --output /dev/null "http://127.0.0.1:$PORT/healthz"; then return; fi
        sleep 0.1
    done
    cat ../server.log >&2
    return 1
}
"""
_SERVES = "python oppman.py runserver"
_END = "kill $SERVER; wait $SERVER || true"


@dataclass(frozen=True)
class Step:
    """A block of the page in a numbered section: lines of a shell, or the content of `file`."""

    section: int
    text: str
    file: str | None = None

    @property
    def serves(self) -> bool:
        """Whether a line of it starts the server."""
        return self.file is None and _SERVES in self.text


def steps() -> list[Step]:
    """Return the page's commands and files in their order. A file's first line is a comment with its name."""
    found: list[Step] = []
    section, is_heading = 0, False
    for token in MarkdownIt().parse(PAGE.read_text(encoding="utf-8")):
        if is_heading and token.content[0].isdigit():
            section = int(token.content.partition(".")[0])
        is_heading = token.type == "heading_open"
        language = token.info.strip()
        if token.type == "fence" and language == "sh":
            found.append(Step(section, token.content))
        elif token.type == "fence" and language != "text":
            named = _NAMED.match(token.content)
            assert named, f"The first line of this block does not name its file:\n{token.content}"
            found.append(Step(section, token.content[named.end() :], named[1]))
    return found


def printed() -> list[str]:
    """Return the lines of output that the page shows, each from its `…` on."""
    blocks = [token.content for token in MarkdownIt().parse(PAGE.read_text(encoding="utf-8")) if token.info == "text"]
    return [line.rpartition("…")[2] for block in blocks for line in block.splitlines()]


def make_shop(folder: Path) -> Path:
    """Make the page's shop by its commands and files up to the test, without those that serve it. Return its folder."""
    project = folder / "bookshop"
    succeed(folder, "-m", "fastopp.cli.main", "startproject", project.name)
    for step in steps():
        if step.section in range(2, 8) and step.file:
            (project / step.file).parent.mkdir(parents=True, exist_ok=True)
            (project / step.file).write_text(step.text, encoding="utf-8")
        elif step.section in range(2, 8) and not step.serves:
            for words in map(shlex.split, step.text.splitlines()):
                if words[0] == "python":
                    succeed(project, *words[1:])
    (project / "shop/tasks.py").unlink()
    return project


def script(parts: Iterable[Step], addresses: Mapping[str, str]) -> str:
    """Return steps as a shell script that uses `addresses` in place of the page's.

    A server runs in the background until the end of its block. Its port is in the variable PORT.
    """
    lines: list[str] = []
    for step in parts:
        if step.file:
            folder = shlex.quote(str(Path(step.file).parent))
            lines += [f"mkdir -p {folder}", f"cat >{shlex.quote(step.file)} <<'END-OF-FILE'", step.text + "END-OF-FILE"]
            continue
        text = step.text
        for theirs, ours in addresses.items():
            text = text.replace(theirs, ours)
        lines += [f"serve {line}" if line.startswith(_SERVES) else line for line in text.splitlines()]
        lines += [_END] if step.serves else []
    return _SERVE + "\n".join(lines) + "\n"
