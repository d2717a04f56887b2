"""A check of the routes of each app."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.core.apps import App, AppError

if TYPE_CHECKING:
    from fastapi.routing import RouteContext

_NAME: Final = re.compile(r"\(\?P<\w+>")


@check(
    "fastopp.W504",
    "A route that never answers",
    fix="Remove one of the two, or move the one with the parameter below the other.",
    subject=Subject.SOURCE,
)
def hidden_routes(context: CheckContext) -> Iterator[Problem]:
    """An earlier route of the same app matches all of its addresses, so that its handler is never called."""
    for app in context.apps:
        try:
            yield from _hidden(app)
        except AppError:
            continue  # fastopp.E501


def _hidden(app: App) -> Iterator[Problem]:
    from fastapi.routing import iter_route_contexts  # noqa: PLC0415 - 500 ms that other commands do not need

    router = app.router() if (app.folder / "routes.py").is_file() else None
    seen: list[RouteContext] = []
    for route in iter_route_contexts(router.routes if router else []):
        if getattr(route, "methods", None) and route.path is not None:
            earlier = next((each for each in seen if _hides(each, route)), None)
            if earlier:
                methods = ", ".join(sorted(set(route.methods or ()) & set(earlier.methods or ())))
                where = f"{_place(earlier, app)} answers {earlier.path}"
                yield Problem(f"{_place(route, app)}: {methods} {route.path} is never reached, since {where} first.")
            seen.append(route)


def _hides(earlier: Any, later: Any) -> bool:  # noqa: ANN401 - FastAPI's
    if not set(later.methods or ()) & set(earlier.methods or ()):
        return False
    if _NAME.sub("(", earlier.path_regex.pattern) == _NAME.sub("(", later.path_regex.pattern):
        return True
    return "{" not in later.path and earlier.path_regex.match(later.path) is not None


def _place(route: Any, app: App) -> str:  # noqa: ANN401 - as above
    handler = inspect.unwrap(route.endpoint)
    file = Path(inspect.getfile(handler))
    shown = file.relative_to(app.project) if file.is_relative_to(app.project) else file
    return f"{shown.as_posix()}, line {inspect.getsourcelines(handler)[1]}"
