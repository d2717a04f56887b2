"""References in the service's variables to what the emulator's services are called: `DATABASE_DSN=${DATABASE_URL}`.

In LeapCell's dashboard a user enters each address under the name that the application reads. Here the addresses are new
in each run, so a variable refers to them by name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Final

from yarl import URL

from leapcell_emulator.errors import BadRequest

_REFERENCE: Final = re.compile(r"(\$?)\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*))?\}")
# Names that exist only beside a service, and the option that decides about it.
_SERVICES: Final = {
    "DATABASE": ("the database", "leave out --no-database"),
    "S3": ("the Object Storage", "leave out --no-object-storage"),
    "REDIS": ("Redis", "use --redis"),
}
_PARTS: Final = ("HOST", "PORT", "USER", "PASSWORD", "NAME")


class UnknownReference(BadRequest):
    """A variable refers to a name that no service has."""


def known_names(services: Mapping[str, str]) -> dict[str, str]:
    """Every name that can be referred to, with its value: the services' variables, and the parts of their URLs."""
    names = dict(services)
    for prefix in ("DATABASE", "REDIS"):
        if address := services.get(f"{prefix}_URL"):
            url = URL(address)
            values = (url.host, url.port, url.user, url.password, url.path.lstrip("/"))
            names |= {f"{prefix}_{part}": str(value) for part, value in zip(_PARTS, values, strict=True) if value}
    if address := services.get("S3_ENDPOINT_URL"):
        url = URL(address)
        names |= {"S3_HOST": str(url.host), "S3_PORT": str(url.port)}
    return names


def resolve(variables: Mapping[str, str], services: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The variables with their references replaced, and the names among them that refer to something.

    `${DATABASE_URL}` is the value of that name, `${DATABASE_URL:postgresql+psycopg}` the same URL with another scheme,
    and `$${DATABASE_URL}` is left as it is, with one `$`.
    Raises `UnknownReference`, which names the nearest known one.
    """
    known = known_names(services)
    referring = []
    resolved = {}
    for variable, value in variables.items():
        found = [match for match in _REFERENCE.finditer(value) if not match[1]]
        for match in found:
            _check(variable, match, known)
        if found:
            referring.append(variable)
        resolved[variable] = _REFERENCE.sub(lambda match: _value(match, known), value)
    return resolved, referring


def _value(match: re.Match[str], known: Mapping[str, str]) -> str:
    if match[1]:
        return match[0][1:]
    value, scheme = known[match["name"]], match["scheme"]
    if not scheme:
        return value
    value = f"{scheme}:{value.partition(':')[2]}"
    # asyncpg takes no sslmode: https://docs.sqlalchemy.org/en/20/dialects/postgresql.html
    return value.replace("?sslmode=", "?ssl=") if scheme.endswith("+asyncpg") else value


def _check(variable: str, match: re.Match[str], known: Mapping[str, str]) -> None:
    """Raises `UnknownReference` for a name that there is not, or a scheme for what is no URL."""
    name = match["name"]
    if name in known:
        if match["scheme"] and "://" not in known[name]:
            raise UnknownReference(
                f"{variable} refers to {match[0]}, but {name} is no URL.", hint=f"Write ${{{name}}}."
            )
        return
    prefix = name.partition("_")[0]
    message = f"{variable} refers to {match[0]}, which no service of this run has."
    if prefix in _SERVICES and not any(each.startswith(f"{prefix}_") for each in known):
        service, option = _SERVICES[prefix]
        raise UnknownReference(message, hint=f"It is {service}'s, which does not run: {option}.")
    nearest = next(iter(difflib.get_close_matches(name, known, n=1)), "")
    hint = f"Did you mean ${{{nearest}}}?" if nearest else f"There are {', '.join(sorted(known))}."
    raise UnknownReference(message, hint=f"{hint} Write $${{…}} for the text itself.")
