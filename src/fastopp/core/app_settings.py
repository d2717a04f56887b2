"""Find the settings of features and apps: the classes in their settings.py, each variable in one place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastopp.core.apps import App, AppError, BrokenPart
from fastopp.core.features import features_with, is_feature

if TYPE_CHECKING:
    from fastopp.settings.app_settings import AppSettings


def app_settings(apps: Iterable[App]) -> list[type[AppSettings]]:
    """Return the settings classes of the features, and then of apps.

    Raises BrokenPart for a settings.py that cannot be used, and AppError for a variable that is declared twice.
    """
    from fastopp.settings.loading import VARIABLES  # noqa: PLC0415 - imports pydantic

    found: list[type[AppSettings]] = []
    owners = dict.fromkeys(VARIABLES, "FastOpp")
    for app in (*features_with("settings"), *apps):
        for kind in _classes(app):
            for name in kind.model_fields:
                if name in owners:
                    raise AppError(
                        f"The app {app.name} declares the setting {name.upper()}, which is one of {owners[name]}.",
                        hint=f"Rename it in {app.package}/settings.py, like {app.name.upper()}_{name.upper()}.",
                    )
            owners |= dict.fromkeys(kind.model_fields, "FastOpp" if is_feature(app) else f"the app {app.name}")
            found.append(kind)
    return found


def _classes(app: App) -> list[type[AppSettings]]:
    module = app.part("settings")
    if module is None:
        return []
    from fastopp.settings.app_settings import AppSettings  # noqa: PLC0415 - imports pydantic

    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, AppSettings) and value.__module__ == module.__name__
    ]
    if not found:
        hint = f"Write `class {app.name.title()}Settings(AppSettings):` with a field for each variable."
        raise BrokenPart(f"{app.package}/settings.py defines no class derived from AppSettings.", hint=hint)
    return found
