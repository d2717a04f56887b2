"""What many tests of a process make alike is made once: signatures read, statements compiled, passwords verified.

An application of the product does each of these once. A run of the tests has thousands of applications in a process.
"""

from __future__ import annotations

import inspect
import os
import ssl
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from functools import cache
from typing import Any

import pytest
from fastapi import routing as fastapi_routing
from fastapi.dependencies import utils as fastapi_dependencies
from httpx._transports import default as httpx_transports
from sqlalchemy.ext.asyncio import AsyncEngine

from fastopp.database import engine as engines
from fastopp.features.accounts import passwords


@pytest.fixture(scope="session", autouse=True)
def _verified_once() -> Iterator[None]:
    """Verify a password against a hash once in a process: with Argon2 that is expensive, and always the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_verify", cache(passwords._verify))
        yield


def of_all_applications(call: Any) -> bool:
    """Return whether it is a function of a module, and not one that a test or an application has made."""
    return inspect.isfunction(call) and not call.__closure__


@pytest.fixture(scope="session", autouse=True)
def _dependencies_read_once() -> Iterator[None]:
    """Let FastAPI read the signature of a dependency once in a process, and not for each application and route."""
    read = fastapi_dependencies.get_dependant
    known: dict[tuple[Any, ...], Any] = {}

    def read_once(**options: Any) -> Any:
        if not of_all_applications(options["call"]):
            return read(**options)
        key = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items())
        if key not in known:
            known[key] = read(**options)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastapi_dependencies, "get_dependant", read_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _handlers_read_once() -> Iterator[None]:
    """Let FastAPI read the signature of a route's handler, and build the model of its body, once in a process.

    FastAPI does both for each route, and again for each application that includes its router.
    """
    read, build = fastapi_routing._build_dependant_with_parameterless_dependencies, fastapi_routing._get_body_field
    known: dict[tuple[Any, ...], Any] = {}
    built: dict[tuple[int, str, bool], Any] = {}
    kept: set[int] = set()

    def read_once(*, path: str, call: Callable[..., Any], dependencies: Sequence[Any]) -> Any:
        calls = [call, *(each.dependency for each in dependencies)]
        if not all(of_all_applications(each) for each in calls):
            return read(path=path, call=call, dependencies=dependencies)
        key = (path, call, *dependencies)
        if key not in known:
            known[key] = read(path=path, call=call, dependencies=dependencies)
            kept.add(id(known[key][1]))
        return known[key]

    def build_once(*, body_params: list[Any], name: str, embed_body_fields: bool) -> Any:
        key = (id(body_params), name, embed_body_fields)  # of a list that is kept no other has the address
        if id(body_params) not in kept:
            return build(body_params=body_params, name=name, embed_body_fields=embed_body_fields)
        if key not in built:
            built[key] = build(body_params=body_params, name=name, embed_body_fields=embed_body_fields)
        return built[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastapi_routing, "_build_dependant_with_parameterless_dependencies", read_once)
        patch.setattr(fastapi_routing, "_get_body_field", build_once)
        yield


class Statements(dict[Any, Any]):
    """Compiled statements by their keys, of all engines with the same kind of database.

    A key names its engine's dialect first. What dialects compile depends on their class and the server's version.
    """

    MOST = 5000
    """Statements; then it begins again, since keys keep the models of tests."""

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a compiled statement."""
        return super().get(self._shared(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep a compiled statement."""
        if len(self) >= self.MOST:
            self.clear()
        super().__setitem__(self._shared(key), value)

    def _shared(self, key: Any) -> Any:
        dialect, *rest = key
        return type(dialect), getattr(dialect, "server_version_info", None), *rest


@pytest.fixture(scope="session", autouse=True)
def _statements_compiled_once() -> Iterator[None]:
    """Let SQLAlchemy compile a statement once in a process, and not for each engine."""
    create = engines.create_async_engine
    statements: MutableMapping[Any, Any] = Statements()

    def create_one(*arguments: Any, **options: Any) -> AsyncEngine:
        return create(*arguments, execution_options={"compiled_cache": statements}, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "create_async_engine", create_one)
        yield


@pytest.fixture(scope="session", autouse=True)
def _authorities_read_once() -> Iterator[None]:
    """Let httpx read the certificates of all authorities once in a process, and not for each client."""
    make = httpx_transports.create_ssl_context
    known: dict[tuple[str | None, ...], ssl.SSLContext] = {}

    def make_once(**options: Any) -> ssl.SSLContext:
        if options != {"verify": True, "cert": None, "trust_env": True}:
            return make(**options)
        key = tuple(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"))
        if key not in known:
            known[key] = make(**options)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx_transports, "create_ssl_context", make_once)
        yield
