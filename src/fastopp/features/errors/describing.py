"""The texts that are stored of an error: message, traceback and the caller's values, short, with secrets masked."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

from pydantic import SecretStr

from fastopp.features.errors.fingerprint import causes, type_name, unwrapped
from fastopp.features.errors.known_secrets import secrets_of
from fastopp.features.errors.models import MAX_MESSAGE
from fastopp.settings import Settings
from fastopp.tasks.failure import mask, storable
from fastopp.web.developer_errors.masking import MASK, Masking, is_secret_name

MAX_TEXT: Final = 2000  # characters of a message
MAX_TRACEBACK: Final = 8000  # characters
FRAMES: Final = 25  # of each exception: the innermost
MARGIN: Final = 200  # characters around a cut that are looked at: the name before a secret value, for example
MAX_READ: Final = 200_000  # characters of a text that are searched for known secrets
LONGEST_WORD: Final = 200  # characters; the patterns of secrets take a time that grows with its square

MAX_VALUES: Final = 20  # of the caller's context
MAX_NAME: Final = 50
MAX_VALUE: Final = 500
MAX_INNER: Final = 10  # values of a list or a dictionary in it
DEPTH: Final = 3

_WORD: Final = re.compile(rf"[\w-]{{{LONGEST_WORD},}}")


class Description(NamedTuple):
    """The texts that are stored of an error."""

    message: str
    """All of it, on as many lines as it has."""
    headline: str
    """Its first line, shortened."""
    traceback: str
    context: dict[str, Any]


def describe(
    error: BaseException,
    settings: Settings,
    *,
    scope: Mapping[str, Any] | None = None,
    context: Mapping[str, object],
    caller: FrameType | None = None,
) -> Description:
    """Describe an error. Local variables are looked at for secrets, and not stored."""
    error = unwrapped(error)
    masking = mask_of(error, settings, scope=scope, context=context, caller=caller)
    message = masking.start(message_of(error), MAX_TEXT)
    lines = [line for line in message.splitlines() if line.strip()]
    return Description(
        message,
        (lines[0] if lines else "")[:MAX_MESSAGE],
        _traceback(error, caller, masking),
        masked_context(context, masking),
    )


def mask_of(
    error: BaseException,
    settings: Settings,
    *,
    scope: Mapping[str, Any] | None = None,
    context: Mapping[str, object],
    caller: FrameType | None = None,
) -> TextMask:
    """Return what masks the secrets in texts about an error."""
    return TextMask(settings, secrets_of(error, scope, context, caller))


def message_of(error: BaseException) -> str:
    """Return its message; a replacement where its code fails to make one."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the edge: foreign code's __str__
        return "(its message cannot be made)"


def _traceback(error: BaseException, caller: FrameType | None, masking: TextMask) -> str:
    parts: list[str] = []
    for each in reversed(causes(error)):
        if parts:
            parts.append("\nwhich led to:\n\n")
        parts += _formatted(each)
    if error.__traceback__ is None and caller is not None:
        frames = traceback.StackSummary.extract(traceback.walk_stack(caller), limit=FRAMES, lookup_lines=True)
        parts.insert(0, "".join(frames.format()[::-1]))
    return masking.middle("".join(parts).rstrip(), MAX_TRACEBACK)


def _formatted(error: BaseException) -> Iterable[str]:
    try:
        # The innermost frames; without the exceptions that led to it, and at most five of a group.
        made = traceback.TracebackException(
            type(error), error, error.__traceback__, limit=-FRAMES, compact=True, max_group_width=5, max_group_depth=2
        )
        made.__cause__ = made.__context__ = None
        return list(made.format())
    except Exception:  # noqa: BLE001 - the edge: foreign code's __str__ and __notes__
        frames = traceback.format_tb(error.__traceback__, limit=-FRAMES)
        return [*frames, f"{type_name(error)}: {message_of(error)}\n"]


def masked_context(context: Mapping[str, object], masking: TextMask) -> dict[str, Any]:
    """Return the caller's values as they may be kept."""
    found: dict[str, Any] = {}
    for name, value in list(context.items())[:MAX_VALUES]:
        found[storable(str(name)[:MAX_NAME])] = MASK if is_secret_name(str(name)) else _plain(value, masking, DEPTH)
    return found


def _plain(value: object, masking: TextMask, depth: int) -> Any:  # noqa: ANN401 - what JSON holds
    """Return a value as JSON can hold it, shortened, and with secrets masked."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, SecretStr):
        return MASK
    try:
        if isinstance(value, Mapping) and depth:
            inner = list(value.items())[:MAX_INNER]
            return {
                storable(str(key)[:MAX_NAME]): MASK if is_secret_name(str(key)) else _plain(each, masking, depth - 1)
                for key, each in inner
            }
        if isinstance(value, list | tuple | set | frozenset) and depth:
            return [_plain(each, masking, depth - 1) for each in list(value)[:MAX_INNER]]
        text = str(value)
    except Exception as error:  # noqa: BLE001 - the edge: foreign code describes itself
        text = f"({type(value).__name__}, which cannot be shown: {type(error).__name__})"
    return masking.start(text, MAX_VALUE)


class TextMask:
    """Masks secrets: first the known ones, in all of a text; then, once it is cut, what looks like one."""

    def __init__(self, settings: Settings, secrets: Iterable[str]) -> None:
        self._settings = settings
        self._secrets = sorted(secrets, key=len, reverse=True)  # one may be part of another
        self._masking = Masking(settings)

    def start(self, text: str, size: int) -> str:
        """Return the beginning of a text."""
        masked = self._looks(self._known(text[:MAX_READ])[: size + MARGIN])
        return masked if len(masked) <= size else f"{masked[: size - 1]}…"

    def middle(self, text: str, size: int) -> str:
        """Return a text without its middle: a traceback begins with the first cause and ends with the message."""
        known = self._known(text[: MAX_READ // 2] + text[MAX_READ // 2 :][-MAX_READ // 2 :])
        if len(known) <= size:
            return self._looks(known)[: size + MARGIN]
        head, tail = size // 4, size * 3 // 4
        return f"{self._looks(known[: head + MARGIN])[:head]}\n…\n{self._looks(known[-(tail + MARGIN) :])[-tail:]}"

    def _known(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return mask(text, self._settings)

    def _looks(self, text: str) -> str:
        return storable(self._masking.text(_WORD.sub(f"…{MASK}…", text)))
