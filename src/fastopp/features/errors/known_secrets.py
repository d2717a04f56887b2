"""The secrets that an error may repeat: of its request, and of the local variables that it came through.

Their values are looked for in what is stored, and masked there. They are stored nowhere, and no code of theirs runs.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType, NoneType
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr
from starlette.datastructures import ImmutableMultiDict

from fastopp.features.errors.fingerprint import causes
from fastopp.web.developer_errors.masking import is_secret_name

MOST: Final = 200  # secrets
SHORTEST: Final = 6  # characters, as of every mask
LONGEST: Final = 4096  # characters; no password or token is longer, and a text is searched for each of them
FRAMES: Final = 40  # the innermost
NAMES: Final = 60  # of a frame, a dictionary or an object
THINGS: Final = 1500  # frames, dictionaries, lists and objects that are looked into
DEPTH: Final = 4


def secrets_of(
    error: BaseException,
    scope: Mapping[str, Any] | None,
    context: Mapping[str, object],
    caller: FrameType | None = None,
) -> list[str]:
    """Return values that must not be stored, each once.

    Parameters
    ----------
    context: values that are to be stored beside the error.
    caller: the innermost frame of the code that reports it.
    """
    search = _Search()
    if scope is not None:
        search.look_at_request(scope)
    search.look_into([dict(context), *_locals(error, caller)])
    return list(search.found)[:MOST]


def _locals(error: BaseException, caller: FrameType | None) -> Iterator[Mapping[str, object]]:
    """Yield the local variables of the frames, the innermost first."""
    for each in causes(error):
        frames = [frame for frame, _ in traceback.walk_tb(each.__traceback__)]
        yield from (frame.f_locals for frame in reversed(frames[-FRAMES:]))
    if caller is not None:
        yield from (frame.f_locals for frame, _ in islice(traceback.walk_stack(caller), FRAMES))


class _Search:
    """Finds the values of secret names. An object that many frames name is looked into once."""

    def __init__(self) -> None:
        self.found: dict[str, None] = {}
        self._seen: dict[int, object] = {}  # with the objects, so that no other gets the id of one
        self._secret: dict[str, bool] = {}

    def look_at_request(self, scope: Mapping[str, Any]) -> None:
        """Find the secrets in headers, cookies and the address."""
        for key, value in scope.get("headers", ()):
            name, text = key.decode("latin-1"), value.decode("latin-1")
            if name == "cookie":
                for part in text.split(";"):
                    self._keep(part.partition("=")[2].strip().strip('"'))
            elif self._is_secret(name):
                self._keep(text)
                self._keep(text.partition(" ")[2])  # after the scheme
        query = scope.get("query_string", b"").decode("latin-1")
        for name, value in [*parse_qsl(query), *scope.get("path_params", {}).items()]:
            if self._is_secret(name):
                self._keep(value)

    def look_into(self, values: Iterable[object]) -> None:
        """Find the secrets in dictionaries, forms, lists and objects: first in these, then in what is inside them."""
        waiting = deque((value, DEPTH) for value in values)
        while waiting and len(self._seen) < THINGS and len(self.found) < MOST:
            value, depth = waiting.popleft()
            if id(value) in self._seen:
                continue
            self._seen[id(value)] = value
            for name, child in islice(_children(value), NAMES):
                if isinstance(child, SecretStr):
                    self._keep(child.get_secret_value())
                elif isinstance(name, str) and name != "key" and self._is_secret(name):
                    self._keep_all(child)
                elif depth > 1 and not isinstance(child, _PLAIN):
                    waiting.append((child, depth - 1))

    def _is_secret(self, name: str) -> bool:
        if (known := self._secret.get(name)) is None:
            known = self._secret[name] = is_secret_name(name)
        return known

    def _keep_all(self, value: object) -> None:
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            for each in value[:NAMES]:
                self._keep(each)
        else:
            self._keep(value)

    def _keep(self, secret: object) -> None:
        """Keep a secret as it is, and as a message may show it."""
        text = secret.decode("latin-1") if isinstance(secret, bytes) else secret
        if isinstance(text, str) and SHORTEST <= len(text) <= LONGEST:
            self.found |= dict.fromkeys((text, unquote(text), repr(text)[1:-1]))


_PLAIN: Final = (str, bytes, int, float, type, ModuleType, FunctionType, BuiltinFunctionType, NoneType)


def _children(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, ImmutableMultiDict):  # a form, a query
        yield from value.multi_items()
    elif type(value) is dict or type(value).__name__ == "FrameLocalsProxy":  # Python 3.13
        yield from value.items()  # type: ignore[attr-defined] # as tested
    elif type(value) in (list, tuple):
        yield from ((None, child) for child in value)  # type: ignore[attr-defined] # as tested
    else:
        try:
            yield from object.__getattribute__(value, "__dict__").items()
        except AttributeError:
            return
