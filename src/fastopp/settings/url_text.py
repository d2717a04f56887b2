"""Split the text of a PostgreSQL URL, whose password may have been pasted as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote, unquote_plus

from fastopp.settings.dashboard_forms import EXAMPLE
from fastopp.settings.libpq import DatabaseURLError, is_known

_ENCODE: Final = "Percent-encode each character of the password that is not a letter or digit: @ as %40."
_HOST: Final = re.compile(r"\[[0-9A-Fa-f:.]+(?:%25\w+)?\]|[\w.%~-]*")


def split_url(rest: str, *, plus_is_blank: bool) -> tuple[str, str, str, dict[str, str]]:
    """Split into login, hosts, path and parameters.

    A URL ends its login at the first of / ? #. A password pasted raw may hold those, so when that reading makes
    no sense, every @ is tried as the end of the login; one that makes sense alone is the answer.
    """
    end = re.search(r"[/?#]", rest)
    boundary = rest.rfind("@", 0, end.start() if end else len(rest))
    standard = _read_tail(rest[boundary + 1 :], plus_is_blank=plus_is_blank)
    if standard and ("@" not in rest[boundary + 1 :] or all(map(is_known, standard[2]))):
        return (rest[: max(boundary, 0)], *standard)
    readings = [
        (rest[:index], *tail)
        for index, character in enumerate(rest)
        if character == "@" and (tail := _read_tail(rest[index + 1 :], plus_is_blank=plus_is_blank))
    ]
    if len(readings) == 1:
        return readings[0]
    if readings or "@" in rest:
        raise DatabaseURLError("The password makes the URL ambiguous or unreadable.", hint=_ENCODE)
    raise DatabaseURLError("The host, port or parameters are invalid.", hint=EXAMPLE)


def _read_tail(tail: str, *, plus_is_blank: bool) -> tuple[str, str, dict[str, str]] | None:
    """Parse the part after the login: hosts, path and parameters; None if it is invalid."""
    location, mark, query = tail.partition("?")
    places, _, path = location.partition("/")
    if "@" in path:  # it would have to be %40
        return None
    for place in places.split(","):
        host = _HOST.match(place)
        if not host or not re.fullmatch(r"(?::\d*)?", place[host.end() :]):
            return None
    if mark and any("=" not in pair for pair in query.split("&") if pair):
        return None
    parameters: dict[str, str] = {}
    for name, value in read_pairs(query, plus_is_blank=plus_is_blank):
        # SQLAlchemy's form of several hosts repeats the parameter.
        parameters[name] = f"{parameters[name]},{value}" if name == "host" and name in parameters else value
    return places, path, parameters


def read_pairs(query: str, *, plus_is_blank: bool) -> Iterator[tuple[str, str]]:
    """Return the parameters, decoded."""
    decode = unquote_plus if plus_is_blank else unquote
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        yield unquote(name), decode(value)
