"""The settings as text, made from the classes: `.env.example` and the table in docs/settings.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, SecretStr

from fastopp.settings import Settings
from fastopp.settings.app_settings import AppSettings
from fastopp.settings.fields import NOT_VARIABLES

AppKinds = Iterable[type[AppSettings]]


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its name, its default as text, what it does."""

    name: str
    default: str
    description: str
    required: bool = False
    """It has no default."""


def variables(app_settings: AppKinds = ()) -> Iterator[Variable]:
    """Return every variable that FastOpp reads, and those of apps, in the order of the classes."""
    kinds: list[type[BaseModel]] = [Settings, *app_settings]
    for name, field in (item for kind in kinds for item in kind.model_fields.items()):
        if name in NOT_VARIABLES:
            continue
        required = field.is_required()
        default = None if required else field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        text = str(default).lower() if isinstance(default, bool) else "" if default is None else str(default)
        yield Variable(name.upper(), text, field.description or "", required)


def env_example(app_settings: AppKinds = ()) -> str:
    """Return the content of `.env.example`: every variable with its default, commented out."""
    head = "# Every setting of FastOpp with its default. Copy this file to .env and change what you need.\n"
    return head + "".join(f"\n# {_plain(v.description)}\n# {v.name}={v.default}\n" for v in variables(app_settings))


def markdown_table(app_settings: AppKinds = ()) -> str:
    """Return the table of docs/settings.md."""
    rows = "".join(
        f"| `{v.name}` | {f'`{v.default}`' if v.default else ''} | {v.description} |\n" for v in variables(app_settings)
    )
    return f"| Variable | Default | Meaning |\n|---|---|---|\n{rows}"


def _plain(markdown: str) -> str:
    return markdown.replace("`", "")
