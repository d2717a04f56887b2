"""Mask secrets in what the error page shows: by name, by form, and by their values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr
from rich.pretty import Node, traverse

from fastopp.settings import Settings
from fastopp.tasks.failure import mask

MASK = "***"
WIDTH = 100  # characters of a line
LONGEST = 2000  # characters of a value
LINES = 12  # of a value
SHORTEST_SECRET = 6  # characters; masking every "a" would leave no page

_NAME = r"pass|pwd|token|secret|key|credential|authori[sz]ation|cookie|dsn|signature|csrf|otp"
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_LITERAL = re.compile(
    rf"(\b\w*(?:{_NAME})\w*['\"\]]*\s*(?:[=:]|==)\s*[a-z]{{0,2}}|secret\w*\(\s*)(?:{_QUOTED})", re.IGNORECASE
)
_ASSIGNED = re.compile(rf"([\w-]*(?:{_NAME})[\w-]*=)[^\s&'\",;)]+", re.IGNORECASE)
_USER_INFO = re.compile(r"(\w+://)[^\s'\"<>]*@")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Return whether a name says that its value is secret."""
    return _SECRET_NAME.search(name) is not None


class Masking:
    """Masks the secrets of one error: the settings', and those that it has met in names and values."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._met: set[str] = set()

    def meet(self, name: str, value: object) -> None:
        """Remember the secrets in a value, so that they are masked wherever else they appear."""
        if is_secret_name(name) and name != "key":  # that is the name of any dictionary's key
            self._remember(value)
        elif isinstance(value, SecretStr):
            self._remember(value.get_secret_value())
        else:
            for child in _secret_children(_node(value)):
                self._remember(child.value_repr.strip("'\""))

    def source(self, text: str) -> str:
        """Return code without the literal texts that are given to secret names."""
        text = _USER_INFO.sub(rf"\1{MASK}@", _LITERAL.sub(rf"\1'{MASK}'", text))
        for secret in sorted(self._met, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return mask(text, self._settings)

    def text(self, text: str) -> str:
        """Return a message without what looks like a secret."""
        return self.source(_BEARER.sub(rf"\1 {MASK}", _ASSIGNED.sub(rf"\1{MASK}", text)))

    def value(self, name: str, value: object) -> str:
        """Return a value as Python writes it, in a few lines and without secrets."""
        if is_secret_name(name):
            return MASK
        node = _node(value)
        for child in list(_secret_children(node)):
            child.value_repr, child.children, child.open_brace, child.close_brace = MASK, None, "", ""
        lines = node.render(max_width=WIDTH)[:LONGEST].splitlines()
        return self.text("\n".join(lines if len(lines) <= LINES else [*lines[:LINES], "…"]))

    def setting(self, name: str, value: object) -> str:
        """Return a setting as people write it; of a secret, whether it is set."""
        if isinstance(value, SecretStr) or is_secret_name(name):
            return "set" if value else "not set"
        return self.text(str(value))

    def _remember(self, value: object) -> None:
        if isinstance(value, str) and len(value) >= SHORTEST_SECRET:
            self._met.add(value)


def _node(value: Any) -> Node:  # noqa: ANN401 - anything that a name may hold
    try:
        return traverse(value, max_length=10, max_string=200, max_depth=3)
    except Exception as error:  # noqa: BLE001 - the edge: foreign code describes itself
        return Node(value_repr=f"({type(value).__name__}, which cannot be shown: {type(error).__name__})")


def _secret_children(node: Node) -> Iterator[Node]:
    for child in node.children or ():
        if child.key_repr and is_secret_name(str(child.key_repr)):
            yield child
        else:
            yield from _secret_children(child)
