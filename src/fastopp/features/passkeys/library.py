"""The library of the extra `passkeys`, imported where a passkey is registered or used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from anyio import to_thread

from fastopp.errors import BadRequest, NotFound, Unavailable
from fastopp.features.accounts.settings import AccountSettings
from fastopp.settings import Settings

NAME: Final = "webauthn"


class PasskeysNotInstalled(Unavailable):
    """Passkeys are enabled, but their library is not installed."""

    hint = "Install `fastopp[passkeys]`, or remove PASSKEYS."


class AnswerRefused(BadRequest):
    """The answer of the browser is invalid."""


def check_enabled(settings: Settings) -> None:
    """Raise NotFound unless PASSKEYS is true."""
    if not settings.of(AccountSettings).passkeys:
        raise NotFound


def is_installed() -> bool:
    """Return whether the library is there, without importing it."""
    return find_spec(NAME) is not None


async def call(function: Callable[..., Any], **arguments: Any) -> Any:  # noqa: ANN401 - the library's own types
    """Call a function of the library in a thread. Raises AnswerRefused for an answer that is invalid in any way.

    For answers that no browser sends the library raises what its own libraries do.
    """
    library = await load_library()
    cryptography = import_module("cryptography.exceptions")
    invalid = (
        library.helpers.exceptions.WebAuthnException,
        cryptography.UnsupportedAlgorithm,
        *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
    )
    try:
        return await to_thread.run_sync(partial(function, **arguments))
    except invalid as error:
        raise AnswerRefused from error


async def load_library() -> ModuleType:
    """Import the library in a thread: it takes half a second. Raises PasskeysNotInstalled."""
    if not is_installed():
        raise PasskeysNotInstalled
    return await to_thread.run_sync(import_module, NAME)
