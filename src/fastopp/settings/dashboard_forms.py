"""The forms other than a URL in which dashboards show how to reach a PostgreSQL database.

They are libpq's keyword strings (`host=… port=…`), the connection strings of .NET (`Host=…;Port=…`), and URLs within a
command or an assignment (`psql 'postgresql://…'`, `DATABASE_URL=…`, `jdbc:postgresql://…`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from fastopp.settings.libpq import DatabaseURLError, is_known

EXAMPLE: Final = "Use a URL like postgresql://user:password@host:5432/database, or sqlite:///./test.db."

_AROUND: Final = re.compile(
    r"(?:export\s+)?[A-Z_][A-Z0-9_]*\s*=\s*(?=[\"'`]?[a-z][\w+]*:)|psql\s+(?=[\"'`\w])|jdbc:(?=[a-z]+:)"
)
_QUOTES: Final = "\"'`"
_COMMAND: Final = re.compile(r"(?:PG[A-Z]+=\S+\s+)*psql\s")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z][\w ]*=")
# A value ends at a blank, or is in single quotes; a backslash escapes the next character.
# Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE
_KEYWORD: Final = re.compile(
    r"\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*))(?=\s|$)", re.DOTALL
)
_DOTNET_START: Final = re.compile(r"[A-Za-z][\w ]*=\s*[^\s;]*\s*;")
# A value may be in quotes, and holds them doubled.
_DOTNET: Final = re.compile(r"\s*([A-Za-z][\w ]*?)\s*=\s*(?:\"((?:[^\"]|\"\")*)\"|'((?:[^']|'')*)'|([^;]*?))\s*(?:;|$)")
# Source: https://www.npgsql.org/doc/connection-string-parameters.html
_DOTNET_NAMES: Final[Mapping[str, str]] = {
    "applicationname": "application_name", "channelbinding": "channel_binding", "database": "dbname", "host": "host",
    "password": "password", "port": "port", "pwd": "password", "rootcertificate": "sslrootcert", "server": "host",
    "sslmode": "sslmode", "timeout": "connect_timeout", "uid": "user", "userid": "user", "username": "user",
}  # fmt: skip
_OF_DOTNET_ALONE: Final = frozenset({
    "commandtimeout", "connectionidlelifetime", "includeerrordetail", "keepalive", "maxautoprepare", "maximumpoolsize",
    "maxpoolsize", "minimumpoolsize", "minpoolsize", "multiplexing", "noresetonclose", "pooling",
    "trustservercertificate",
})  # fmt: skip
_DOTNET_MODES: Final[Mapping[str, str]] = {"verifyca": "verify-ca", "verifyfull": "verify-full"}


def unwrap(text: str) -> str:
    """Return the URL or the string without the blanks, quotes, command or assignment around it."""
    text = _unquoted(text)
    while found := _AROUND.match(text):
        text = _unquoted(text[found.end() :])
    return text if _ASSIGNMENT.match(text) else text.strip(_QUOTES).strip()


def read_keywords(text: str) -> dict[str, str] | None:
    """Return libpq's parameters from a keyword string or one of .NET; None if the text is neither.

    Raises DatabaseURLError. It names no parameter, since an unknown one may be a piece of a password.
    """
    if _COMMAND.match(text):
        raise DatabaseURLError("This is a command for psql and not a URL.", hint=EXAMPLE)
    if not _ASSIGNMENT.match(text):
        return None
    return _read_dotnet(text) if _DOTNET_START.match(text) else _read_libpq(text)


def _unquoted(text: str) -> str:
    text = text.strip()
    while len(text) > 1 and text[0] in _QUOTES and text[0] == text[-1]:
        text = text[1:-1].strip()
    return text


def _read_libpq(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text.rstrip()):
        pair = _KEYWORD.match(text, position)
        if pair is None or not is_known(pair[1]):
            hint = f"Put a value with blanks in single quotes. {EXAMPLE}"
            raise DatabaseURLError("The keyword string (host=… port=…) cannot be read.", hint=hint)
        found[pair[1]] = re.sub(r"\\(.)", r"\1", pair[2] if pair[2] is not None else pair[3], flags=re.DOTALL)
        position = pair.end()
    return found


def _read_dotnet(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text.rstrip()):
        pair = _DOTNET.match(text, position)
        name = re.sub(r"[ _]", "", pair[1]).lower() if pair else ""
        if pair is None or name not in _DOTNET_NAMES.keys() | _OF_DOTNET_ALONE:
            raise DatabaseURLError("The connection string (Host=…;Port=…) cannot be read.", hint=EXAMPLE)
        position = pair.end()
        if name in _DOTNET_NAMES:
            value = next(value for value in pair.groups()[1:] if value is not None)
            value = value.replace('""', '"') if pair[2] else value.replace("''", "'") if pair[3] else value
            choice = value.lower() if name in ("sslmode", "channelbinding") else value
            found[_DOTNET_NAMES[name]] = _DOTNET_MODES.get(choice, choice)
    return found
