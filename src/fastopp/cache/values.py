"""Values as bytes. JSON by the function's return type; never pickle, which runs what it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, get_type_hints

from pydantic import PydanticSchemaGenerationError, TypeAdapter
from pydantic_core import PydanticSerializationError
from starlette.responses import Response

from fastopp.cache.errors import NotCacheable

_BYTES, _TEXT, _JSON = b"b", b"s", b"j"
_UNTYPED: Final = (None, Any, object, Response)


class Codec:
    """Writes and reads the values of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @cached_property  # at the first call, when all names of the module are there
    def _adapter(self) -> TypeAdapter[Any] | None:
        kind = get_type_hints(self._function).get("return")
        if kind in _UNTYPED:
            return None
        try:
            return TypeAdapter(kind)
        except PydanticSchemaGenerationError:
            raise self._refusal(str(kind)) from None

    def encode(self, value: object) -> bytes:
        """Return a value as bytes. Raise NotCacheable."""
        if isinstance(value, bytes):
            return _BYTES + value
        if isinstance(value, str):
            return _TEXT + value.encode()
        try:
            if self._adapter is None:
                return _JSON + json.dumps(value).encode()
            return _JSON + self._adapter.dump_json(value, warnings="error", by_alias=True)
        except (TypeError, ValueError, PydanticSerializationError):
            raise self._refusal(type(value).__name__) from None

    def decode(self, data: bytes) -> Any:  # noqa: ANN401 - what the function returns
        """Return the value of bytes."""
        kind, content = data[:1], data[1:]
        if kind == _BYTES:
            return content
        if kind == _TEXT:
            return content.decode()
        return json.loads(content) if self._adapter is None else self._adapter.validate_json(content)

    def _refusal(self, kind: str) -> NotCacheable:
        return NotCacheable(
            f"{self._function.__qualname__} is cached, and returns what JSON cannot hold: {kind}.",
            hint="Return texts, bytes, numbers, lists and dictionaries, or annotate it with a Pydantic model.",
        )
