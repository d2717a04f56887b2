"""Commands that are imported when they are run: the help of a program needs none of what they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, ClassVar

import typer
import typer.main
from typer.core import TyperGroup

from fastopp.console.main_file import ProjectError
from fastopp.console.output import fail
from fastopp.core.garbage import lasting_objects
from fastopp.errors import FastOppError

Place = tuple[str, str]
"""The place of a command, like `fastopp.features.files.commands:app`, and its help; a test compares both."""


class _Commands(MutableMapping[str, Any]):
    """Commands by name; who asks for one gets it imported, who asks for the names does not."""

    def __init__(self, commands: Mapping[str, Any], places: Mapping[str, Place]) -> None:
        self.light = dict(commands)
        """Return what the help shows: commands that do nothing in place of those that are not imported."""
        self._places = places
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - Typer keeps the classes of its commands to itself
        if name not in self._places:
            return self.light[name]
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._places[name][0])
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:  # noqa: ANN401 - as above
        self.light[name] = command

    def __delitem__(self, name: str) -> None:
        del self.light[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.light)

    def __len__(self) -> int:
        return len(self.light)


class _LazyGroup(TyperGroup):
    places: ClassVar[Mapping[str, Place]]

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as above
        super().__init__(**options)
        self.commands = _Commands(self.commands, self.places)
        self._shows_help = False

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as above
        self._shows_help = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._shows_help = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - as above; its name is Typer's
        commands = self.commands.light if self._shows_help else self.commands  # type: ignore[attr-defined] # ours
        return commands.get(cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - as above
        return list(self.commands)


def lazy_app(places: Mapping[str, Place], **options: Any) -> typer.Typer:  # noqa: ANN401 - Typer's
    """A program of such commands.

    Parameters
    ----------
    places: by name.
    options: for `typer.Typer`.
    """
    app = typer.Typer(cls=type("LazyGroup", (_LazyGroup,), {"places": places}), **options)
    for name, (_, help_text) in places.items():
        app.command(name, help=help_text)(_nothing)
    return app


def _nothing() -> None:
    """Stands in the help for a command."""


def _load(name: str, place: str) -> Any:  # noqa: ANN401 - as above
    module, _, attribute = place.partition(":")
    try:
        with lasting_objects():
            found = getattr(import_module(module), attribute, None)
    except FastOppError as error:  # a package that the command needs is not installed
        fail(error)
    if found is None:
        fail(
            ProjectError(
                f"{module} has no `{attribute}`.", hint="Add `app = typer.Typer()` and decorate commands with it."
            )
        )
    outer = typer.Typer(add_completion=False)
    if not isinstance(found, typer.Typer):
        outer.command(name)(found)
        return typer.main.get_command(outer)
    outer.add_typer(found, name=name)
    group: Any = typer.main.get_command(outer)
    return group.commands[name]
