"""Everything that the error page says, masked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request

from fastopp.settings import AppSettings, Settings
from fastopp.settings.reference import variables
from fastopp.web.developer_errors.frames import ShownFrame, causes, own_steps, place_of, shown, steps
from fastopp.web.developer_errors.hints import hint_for
from fastopp.web.developer_errors.masking import Masking

MESSAGE = 2000  # characters


@dataclass(frozen=True, slots=True)
class Cause:
    """An exception and the project's own code that it came through; all other code in one line a frame."""

    headline: str
    frames: list[ShownFrame]
    others: list[str]


@dataclass(frozen=True, slots=True)
class Report:
    """The content of the page."""

    headline: str
    hint: str | None
    place: str | None
    causes: list[Cause]
    request: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    statements: list[str]


def make_report(
    request: Request,
    error: BaseException,
    settings: Settings,
    statements: Iterable[str],
    kinds: Iterable[type[AppSettings]] = (),
) -> Report:
    """Look at an error. It reads source files: call it in a thread.

    kinds: the settings classes of the apps.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    project = Path.cwd()
    errors = causes(error)
    own = [step for each in reversed(errors) for step in own_steps(each, project)]
    hint = hint_for(errors, own)
    masking = Masking(settings)
    for name, value in [*(item for step in own for item in step.names()), *_values_of(request)]:
        masking.meet(name, value)
    nearest = next((found for each in errors if (found := own_steps(each, project))), [])
    return Report(
        _headline(error, masking),
        masking.text(hint) if hint else None,
        place_of(nearest[-1], project) if nearest else None,
        [_cause(each, project, masking) for each in errors],
        list(_request(request, masking)),
        list(_settings(settings, list(kinds), masking)),
        [masking.text(statement) for statement in statements],
    )


def _headline(error: BaseException, masking: Masking) -> str:
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the edge: foreign code's __str__
        message = "(its message cannot be made)"
    return masking.text(f"{type(error).__name__}: {message}"[:MESSAGE])


def _cause(error: BaseException, project: Path, masking: Masking) -> Cause:
    frames = [shown(step, project, masking) for step in reversed(own_steps(error, project))]
    others = [f"{place_of(step, project)}, in {step.frame.f_code.co_name}" for step in steps(error)]
    return Cause(_headline(error, masking), frames, others[-100:])


def _values_of(request: Request) -> list[tuple[str, str]]:
    """Return what the client has sent by name."""
    return [*request.path_params.items(), *request.query_params.multi_items(), *request.headers.items()]


def _request(request: Request, masking: Masking) -> Iterable[tuple[str, str]]:
    yield "Request", masking.text(f"{request.method} {request.url.path}")
    endpoint: Any = request.scope.get("endpoint")
    if endpoint is not None:
        yield "Handler", f"{endpoint.__module__}.{getattr(endpoint, '__qualname__', type(endpoint).__name__)}"
    yield from ((name, masking.value(name, value)) for name, value in _values_of(request))


def _settings(settings: Settings, kinds: list[type[AppSettings]], masking: Masking) -> Iterable[tuple[str, str]]:
    values = dict(item for fields in (settings, *map(settings.of, kinds)) for item in fields)
    values["database_url"] = settings.database.masked
    for variable in variables(kinds):
        yield variable.name, masking.setting(variable.name, values[variable.name.lower()])
