"""The features of the framework: apps that are found by their folder in `fastopp.features`.

`core` does not import them: they are found by name when they are used. Beside what every app has, a feature's
`__init__.py` may declare

OPERATIONS    routes that no app may replace
PAGES         routes that an app may replace

Each maps modules to the paths at and below which they answer. A module is imported with the first request for one of
its paths. It has a `router`, or a `create_router(settings)`.

A feature's error_sink.py records errors: `create_sink(runtime)` returns a `fastopp.reporting.ErrorSink`, or None. It is
imported with the first error.

A feature's tracing.py sends spans to a collector: `create_tracing(settings, clock)` returns a
`fastopp.tracing.Tracing`, or None. It is imported where `Settings.traces` is true.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastopp.core.apps import App, find_apps
from fastopp.platforms.detection import PLATFORMS

_PACKAGE: Final = "fastopp.features"


def find_features() -> tuple[App, ...]:
    """Find the features, in the order of their names."""
    return features_with("__init__")


def features_with(part: str) -> tuple[App, ...]:
    """Find the features that have a module of this name, in the order of their names, without importing it."""
    folder = Path(__file__).parents[1] / "features"
    return find_apps(f"{_PACKAGE}.{module.parent.name}" for module in sorted(folder.glob(f"*/{part}.py")))


def platform_features() -> tuple[App, ...]:
    """Find the features of platforms. Each has its platform's name; a platform may have none."""
    return tuple(feature for feature in find_features() if feature.name in PLATFORMS)


def is_feature(app: App) -> bool:
    """Return whether an app is a feature of the framework."""
    return app.package.startswith(f"{_PACKAGE}.")
