"""Say how to fix the errors that newcomers meet first."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from sqlalchemy import inspect as inspect_mapped
from sqlalchemy.orm import InstanceState

from fastopp.errors import FastOppError
from fastopp.web.developer_errors.frames import Step

_LAZY = re.compile(r"MissingGreenlet|greenlet_spawn has not been called|lazy load operation of attribute '(\w+)'")
_COROUTINE = re.compile(r"\bcoroutine\b")
_UNDEFINED = re.compile(r"'(\w+)' is undefined")


def hint_for(errors: Sequence[BaseException], steps: Sequence[Step]) -> str | None:
    """Return how to fix an error, if it is a known one.

    Parameters
    ----------
    errors: the exception and its causes, the newest first.
    steps: the frames of the project's own code, the innermost last.
    """
    for explain in (_own_words, _not_loaded, _not_awaited, _in_template):
        for error in errors:
            if hint := explain(error, steps):
                return hint
    return None


def _own_words(error: BaseException, _steps: Sequence[Step]) -> str | None:
    return error.hint if isinstance(error, FastOppError) else None


def _not_loaded(error: BaseException, steps: Sequence[Step]) -> str | None:
    """A relation is loaded by its query: reading it later would need a query where none can be awaited."""
    found = _LAZY.search(f"{type(error).__name__}: {error}")
    if found is None:
        return None
    for step in reversed(steps):
        for name, key in _unloaded(step.frame.f_locals.values()):
            if key == found[1] or re.search(rf"\.{key}\b", step.source()):
                return (
                    f"`{name}.{key}` was not loaded. Load it with the query: `select({name}).options(selectinload("
                    f"{name}.{key}))`, with `from sqlalchemy.orm import selectinload`."
                )
    relation = f"`{found[1]}`" if found[1] else "A relation"
    return (
        f"{relation} was read that the query did not load. Load it with the query: "
        "`select(Model).options(selectinload(Model.relation))`, or later: `await session.refresh(row, ['relation'])`."
    )


def _unloaded(values: Iterable[object]) -> Iterator[tuple[str, str]]:
    """Yield the class and the name of each relation that rows among local values lack."""
    for value in values:
        rows = value[:1] if isinstance(value, list) else [value]
        for row in rows:
            state = inspect_mapped(row, raiseerr=False)
            if isinstance(state, InstanceState):
                relations = state.mapper.relationships.keys()
                yield from ((type(row).__name__, key) for key in relations if key in state.unloaded)


def _not_awaited(error: BaseException, steps: Sequence[Step]) -> str | None:
    if _COROUTINE.search(str(error)) is None:
        return None
    unawaited: Any = getattr(error, "obj", None)
    names: list[str] = []
    for step in reversed(steps):
        names += [f"`{name}`" for name, value in step.frame.f_locals.items() if inspect.iscoroutine(value)]
        unawaited = unawaited or next(filter(inspect.iscoroutine, step.frame.f_locals.values()), None)
    what = names[0] if names else "A value"
    call = f" of `{unawaited.__qualname__}`" if inspect.iscoroutine(unawaited) else ""
    return f"{what} is a coroutine, whose result is not there yet. Write `await` before the call{call}."


def _in_template(error: BaseException, steps: Sequence[Step]) -> str | None:
    from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError  # noqa: PLC0415 - 70 ms

    if isinstance(error, TemplateSyntaxError):
        return f"Fix line {error.lineno} of the template {error.name or error.filename}."
    if isinstance(error, TemplateNotFound):
        return f"No app's folder templates/ holds {error.name}. Check the name where it is rendered or included."
    found = _UNDEFINED.search(str(error)) if isinstance(error, UndefinedError) else None
    if found and steps:
        close = get_close_matches(found[1], steps[-1].frame.f_locals, n=1)
        similar = f" Did you mean `{close[0]}`?" if close else " Pass it to `render`, or correct its name."
        return f"The template uses `{found[1]}`, which it was not given.{similar}"
    return None
