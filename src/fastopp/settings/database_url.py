"""Read a database URL in any of the forms that dashboards, tutorials and drivers use.

Standard library only: the settings read the URL before anything heavy is imported. What libpq's own
documentation says (https://www.postgresql.org/docs/current/libpq-connect.html) is what a parameter means
here, whichever driver is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from fastopp.settings.asyncpg_parameters import check_asyncpg
from fastopp.settings.dashboard_forms import EXAMPLE, read_keywords, unwrap
from fastopp.settings.libpq import SECRET_PARAMETERS, DatabaseURLError, check_parameters, is_known, unknown_parameter
from fastopp.settings.url_text import read_pairs, split_url

__all__ = ["DEFAULT_PORT", "DatabaseURL", "DatabaseURLError", "Host"]

DEFAULT_PORT = 5432

# SQLAlchemy's names of drivers, and which of ours answers to them. None: the URL names no driver.
_POSTGRESQL_DRIVERS: Mapping[str | None, Literal["psycopg", "asyncpg"]] = {
    None: "psycopg", "psycopg": "psycopg", "psycopg_async": "psycopg", "psycopg2": "psycopg", "asyncpg": "asyncpg",
}  # fmt: skip
_SQLITE_DRIVERS = (None, "aiosqlite", "pysqlite")


class Host(NamedTuple):
    """One place to reach PostgreSQL: a name, an address, or (with a leading slash) the folder of a unix socket."""

    name: str | None
    port: int = DEFAULT_PORT

    @property
    def is_socket(self) -> bool:
        """Whether this is a unix socket, where TLS has no meaning."""
        return self.name is None or self.name.startswith("/")


class Secret:
    """A text that no `repr`, `vars` or debugger's listing of attributes shows."""

    __slots__ = ("reveal",)

    def __init__(self, value: str) -> None:
        self.reveal: Callable[[], str] = lambda: value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())


@dataclass(frozen=True, repr=False)
class DatabaseURL:
    """A database URL, understood. Its `repr`, `str` and fields are masked; `plain`, `password` and `query` are secret.

    `query` holds libpq parameters by libpq's names, and only those that the user wrote, besides the `sslmode`
    that the platform demands. For SQLite, `database` is the path of the file.
    """

    backend: Literal["sqlite", "postgresql"]
    driver: Literal["aiosqlite", "psycopg", "asyncpg"]
    database: str | None = None
    hosts: tuple[Host, ...] = ()
    user: str | None = None
    parameters: Mapping[str, str | Secret] = field(default_factory=dict)
    secret: Secret | None = None

    @classmethod
    def parse(cls, text: str, *, require_tls: bool = False) -> DatabaseURL:
        """Understand a URL.

        Parameters
        ----------
        text: the URL, or another form that dashboards show. What comes along with copying is dropped: blanks, quotes,
            `psql` and `DATABASE_URL=`.
        require_tls: ask for TLS (`sslmode=require`) where the URL does not say.

        Raises
        ------
        DatabaseURLError: with what is wrong and how to fix it, and never with the password.
        """
        text = unwrap(text)
        if not text:
            raise DatabaseURLError("The URL is empty.", hint=EXAMPLE)
        if (keywords := read_keywords(text)) is not None:
            return _build(_POSTGRESQL_DRIVERS[None], "", "", "", keywords, require_tls=require_tls)
        if any(character.isspace() for character in text):
            raise DatabaseURLError("The URL contains a blank or a line break.", hint="Write a blank as %20.")
        scheme, separator, rest = text.partition("://")
        if not separator or not re.fullmatch(r"[A-Za-z][\w.+-]*", scheme):
            raise DatabaseURLError("The URL does not start with a database type and ://.", hint=EXAMPLE)
        backend, _, driver = scheme.lower().partition("+")
        if backend == "sqlite":
            return _parse_sqlite(driver or None, rest)
        if backend in ("postgres", "postgresql"):
            return _parse_postgresql(driver or None, rest, require_tls=require_tls)
        raise DatabaseURLError(f"FastOpp does not support {backend}.", hint="Use PostgreSQL or SQLite.")

    @property
    def host(self) -> str | None:
        """The first host, or None for SQLite and for the default unix socket."""
        return self.hosts[0].name if self.hosts else None

    @property
    def port(self) -> int | None:
        """The port of the first host, or None for SQLite."""
        return self.hosts[0].port if self.hosts else None

    @property
    def password(self) -> str | None:
        """The password. For a driver only, never for a log."""
        return None if self.secret is None else self.secret.reveal()

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters with their secrets. For a driver only, never for a log."""
        return {name: value.reveal() if isinstance(value, Secret) else value for name, value in self.parameters.items()}

    @property
    def masked(self) -> str:
        """The URL, safe to show and to log: secrets are `***`."""
        scheme = self.backend if self.driver != "asyncpg" else "postgresql+asyncpg"
        return self._write(scheme, password="***", secret="***")  # noqa: S106 - the mask

    @property
    def plain(self) -> str:
        """The URL as libpq reads it, password included. For a driver only, never for a log."""
        return self._write(self.backend, password=quote(self.password or "", safe=""), secret=None)

    def __repr__(self) -> str:
        return f"DatabaseURL({self.masked!r})"

    def __str__(self) -> str:
        return self.masked

    def _write(self, scheme: str, *, password: str, secret: str | None) -> str:
        if self.backend == "sqlite":
            return f"sqlite:///{self.database}"
        login = quote(self.user, safe="") if self.user else ""
        login += f":{password}" if self.password is not None else ""
        places = ",".join(_write_host(host) for host in self.hosts if host.name)
        pairs = ((name, secret if secret and name in SECRET_PARAMETERS else value)
                 for name, value in self.query.items())  # fmt: skip
        query = "&".join(f"{name}={quote(value, safe='/*')}" for name, value in pairs)
        return "".join([
            f"{scheme}://", f"{login}@" if login else "", places, f"/{quote(self.database or '', safe='')}",
            f"?{query}" if query else "",
        ])  # fmt: skip


def _write_host(host: Host) -> str:
    name = host.name or ""
    shown = f"[{name.replace('%', '%25')}]" if ":" in name else quote(name, safe="")
    return f"{shown}:{host.port}"


def _parse_sqlite(driver: str | None, rest: str) -> DatabaseURL:
    if driver not in _SQLITE_DRIVERS:
        raise DatabaseURLError(f"Unknown SQLite driver {driver}.", hint="Write sqlite:///./test.db.")
    location, _, query = rest.partition("?")
    parameters = dict(read_pairs(query, plus_is_blank=True))
    # Both are decided by the engine; tutorials write the first one for threads that are not here.
    if unknown := parameters.keys() - {"check_same_thread", "timeout"}:
        raise unknown_parameter(min(unknown))
    path = location.removeprefix("/")
    if path in ("", ":memory:") or path.startswith("file:") or location in (":memory:", "/:memory:"):
        raise DatabaseURLError(
            "A SQLite database in memory is lost when the process that migrates it ends.",
            hint="Use a file: sqlite:///./test.db.",
        )
    if not location.startswith("/"):
        raise DatabaseURLError("A SQLite URL needs three slashes.", hint="Write sqlite:///./test.db.")
    return DatabaseURL("sqlite", "aiosqlite", database=path)


def _parse_postgresql(driver: str | None, rest: str, *, require_tls: bool) -> DatabaseURL:
    if driver not in _POSTGRESQL_DRIVERS:
        hint = "Use postgresql:// or postgresql+asyncpg://."
        raise DatabaseURLError(f"The driver {driver} is not supported.", hint=hint)
    # SQLAlchemy, whose forms name a driver, writes a blank as +; libpq takes + for itself.
    login, places, path, parameters = split_url(rest, plus_is_blank=driver is not None)
    if any(is_known(name) for name in re.findall(r"&(\w+)=", path)):
        raise DatabaseURLError("The parameters begin with & instead of ?.", hint="Write database?sslmode=require.")
    return _build(_POSTGRESQL_DRIVERS[driver], login, places, path, parameters, require_tls=require_tls)


def _build(
    driver: Literal["psycopg", "asyncpg"],
    login: str,
    places: str,
    path: str,
    parameters: dict[str, str],
    *,
    require_tls: bool,
) -> DatabaseURL:
    """Return a PostgreSQL URL from its parts, which are percent-encoded, and its parameters, which are not."""
    user, colon, password = login.partition(":")
    hosts = tuple(_read_host(place) for place in places.split(","))
    if given := parameters.pop("host", None):
        hosts = tuple(_read_host(place, hosts[0].port) for place in given.split(","))
    if given := parameters.pop("port", None):
        ports = [_read_port(port) for port in given.split(",")]
        if len(ports) not in (1, len(hosts)):
            raise DatabaseURLError(
                f"The URL has {len(hosts)} host(s) and {len(ports)} ports.", hint="Give one port for each host."
            )
        ports = ports * len(hosts) if len(ports) == 1 else ports
        hosts = tuple(Host(host.name, port) for host, port in zip(hosts, ports, strict=True))
    query = check_parameters(parameters, require_tls=require_tls and not all(host.is_socket for host in hosts))
    url = DatabaseURL(
        "postgresql",
        driver,
        database=query.pop("dbname", None) or unquote(path) or None,
        hosts=hosts,
        user=query.pop("user", None) or unquote(user) or None,
        secret=_secret(query.pop("password", None) or (unquote(password) if colon else None)),
        parameters=MappingProxyType(
            {name: Secret(value) if name in SECRET_PARAMETERS else value for name, value in query.items()}
        ),
    )
    if driver == "asyncpg":
        check_asyncpg(url.query)
    return url


def _secret(value: str | None) -> Secret | None:
    return None if value is None else Secret(value)


def _read_host(text: str, default_port: int = DEFAULT_PORT) -> Host:
    if text.startswith("/"):
        return Host(text, default_port)
    if text.startswith("["):
        name, _, port = text[1:].partition("]")
        return Host(unquote(name), _read_port(port.removeprefix(":"), default_port))
    if text.count(":") > 1:  # an IPv6 address as a parameter needs no brackets
        return Host(text, default_port)
    name, _, port = text.partition(":")
    return Host(unquote(name) or None, _read_port(port, default_port))


def _read_port(text: str, default: int = DEFAULT_PORT) -> int:
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise DatabaseURLError("The port is not a number from 1 to 65535.", hint=EXAMPLE)
    return int(text)
