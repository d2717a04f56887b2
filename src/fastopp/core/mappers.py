"""Put the models of a project together, as its first query would."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fastopp.core.apps import App, BrokenPart
from fastopp.core.faults import hint_for

_NAMES: Final = re.compile(r"Mapper\[(\w+)\(|relationship (\w+)\.")


def configure_models(apps: Iterable[App]) -> None:
    """Import every model and connect their relations. The framework's models must have been imported.

    Raises BrokenPart, which names the file and the line, for a module that fails and for relations that do not fit.
    """
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - commands without a database do not need it
    from sqlalchemy.orm import configure_mappers  # noqa: PLC0415 - as above

    known = tuple(apps)
    for app in known:
        app.load_models()
    try:
        configure_mappers()
    except SQLAlchemyError as error:
        text = " ".join(str(error).partition("(Background on")[0].split())
        place = next((place for name in _class_names(text) for app in known if (place := _place(app, name))), "")
        message = f"{place}: {text}" if place else text
        raise BrokenPart(message, hint=hint_for(text)) from error


def _class_names(text: str) -> list[str]:
    return [name for found in _NAMES.findall(text) for name in found if name]


def _place(app: App, name: str) -> str | None:
    """Return the file and line of a class in the app's models."""
    found = getattr(app.part("models"), name, None)
    if not isinstance(found, type) or not found.__module__.startswith(app.package):
        return None
    file = Path(inspect.getfile(found))
    shown = file.relative_to(app.project) if file.is_relative_to(app.project) else file
    return f"{shown.as_posix()}, line {inspect.getsourcelines(found)[1]}"
