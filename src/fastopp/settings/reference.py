"""The settings as text, made from the class: `.env.example` and the table in docs/settings.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import SecretStr

from fastopp.settings import Settings

_NOT_TO_BE_SET = {"platform"}


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its name, its default as text, what it does."""

    name: str
    default: str
    description: str


def variables() -> Iterator[Variable]:
    """Every variable that FastOpp reads, in the order of the class."""
    for name, field in Settings.model_fields.items():
        if name in _NOT_TO_BE_SET:
            continue
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        text = str(default).lower() if isinstance(default, bool) else "" if default is None else str(default)
        yield Variable(name.upper(), text, field.description or "")


def env_example() -> str:
    """The content of `.env.example`: every variable with its default, commented out."""
    head = "# Every setting of FastOpp with its default. Copy this file to .env and change what you need.\n"
    return head + "".join(f"\n# {_plain(v.description)}\n# {v.name}={v.default}\n" for v in variables())


def markdown_table() -> str:
    """The table of docs/settings.md."""
    rows = "".join(f"| `{v.name}` | {f'`{v.default}`' if v.default else ''} | {v.description} |\n" for v in variables())
    return f"| Variable | Default | Meaning |\n|---|---|---|\n{rows}"


def _plain(markdown: str) -> str:
    return markdown.replace("`", "")
