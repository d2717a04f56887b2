"""The arguments of a task: checked when it is queued, as JSON in its row, and as typed values when it runs.

A parameter's annotation is what pydantic makes of it: a `UUID` or a `datetime` is a text in the row and itself again
in the function; a number that a form sent as text becomes a number.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Mapping
from functools import lru_cache
from inspect import Parameter
from typing import Any

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from fastopp.tasks.errors import TaskArguments, TaskTooBig
from fastopp.tasks.limits import MAX_ARGUMENTS
from fastopp.tasks.task import Task

# PostgreSQL keeps no NUL in a jsonb: https://www.postgresql.org/docs/current/datatype-json.html
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def pack(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the row holds them. Raises TaskArguments, TaskTooBig."""
    if not given and not task.parameters:
        return {}
    values = unpack(task, given)
    try:
        # What was left out stays out: the function's own default is taken when it runs.
        packed: dict[str, Any] = to_jsonable_python({name: values[name] for name in given}, inf_nan_mode="constants")
        # A half of a surrogate pair, which no database stores, cannot be encoded.
        text = json.dumps(packed, allow_nan=False, ensure_ascii=False).encode()
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise TaskArguments(f"The arguments of task {task.name} cannot be written as JSON.") from error
    if len(text) > MAX_ARGUMENTS:
        raise TaskTooBig(f"The arguments of task {task.name} take more than {MAX_ARGUMENTS} bytes.")
    if _NUL.search(text):
        raise TaskArguments(f"The arguments of task {task.name} hold a NUL character, which a database cannot store.")
    return packed


def unpack(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the function wants them. Raises TaskArguments."""
    known = task.parameters
    takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in known.values())
    if not takes_any and (strange := given.keys() - known.keys()):
        raise TaskArguments(f"Task {task.name} has no argument {', '.join(sorted(map(repr, strange)))}.")
    missing = [
        name
        for name, parameter in known.items()
        if name not in given and parameter.default is Parameter.empty and parameter.kind is not Parameter.VAR_KEYWORD
    ]
    if missing:
        raise TaskArguments(f"Task {task.name} needs the argument {', '.join(map(repr, missing))}.")
    adapters = _adapters(task)
    values = dict(given)
    for name, adapter in adapters.items():
        if name in values:
            try:
                values[name] = adapter.validate_python(values[name])
            except ValidationError as error:
                # Without the value: it may be a secret.
                reason = error.errors(include_url=False, include_input=False)[0]["msg"]
                raise TaskArguments(f"The argument {name!r} of task {task.name}: {reason}.") from None
    return values


def fill(template: str | None, args: Mapping[str, Any]) -> str | None:
    """A lock with the arguments in their places: `"thumbnail-{key}"`. Raises TaskArguments when one is missing."""
    if template is None or "{" not in template:
        return template
    try:
        return template.format_map(args)
    except (KeyError, IndexError, AttributeError, ValueError) as error:
        raise TaskArguments(f"The lock {template!r} names an argument that was not given.") from error


@lru_cache(maxsize=1024)
def _adapters(task: Task) -> dict[str, TypeAdapter[Any]]:
    try:
        hints = typing.get_type_hints(task.function, include_extras=True)
    except (NameError, TypeError):
        return {}  # it names types that exist for the type checker alone
    adapters = {}
    for name, parameter in task.parameters.items():
        if name in hints and parameter.kind is not Parameter.VAR_KEYWORD:
            try:
                adapters[name] = TypeAdapter[Any](hints[name])
            except (PydanticSchemaGenerationError, PydanticUserError):
                continue  # not a type that pydantic knows: taken as it is
    return adapters
