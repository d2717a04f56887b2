"""Keys: a function, the version of its code and its arguments, as one hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel
from starlette.requests import HTTPConnection

from fastopp.cache.errors import NotCacheable
from fastopp.storage.tracking import TrackingSession

_WRITTEN: Final = (UUID, datetime, date, time, timedelta, Decimal)  # as text, with the name of their type


def key_of(function: str, code_version: str, arguments: Mapping[str, object]) -> str:
    """Return the key of a call. Raise NotCacheable for an argument that is no part of one.

    Services, like a session or the settings, are left out: they do not choose the value.
    """
    written = {name: _written(value, function) for name, value in arguments.items() if not is_service(value)}
    return digest(function, code_version, written)


def digest(*parts: object) -> str:
    """Return a hash of parts that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_service(value: object) -> bool:
    """Return whether an argument is something to work with: a session, a request, or an object of FastOpp's."""
    if isinstance(value, AsyncSession | HTTPConnection):
        return True
    return type(value).__module__.startswith("fastopp.") and not isinstance(value, SQLModel | Enum)


def is_in_transaction(arguments: Iterable[object]) -> bool:
    """Return whether a call reads in a transaction: what it sees may be rolled back."""
    return any(isinstance(each, AsyncSession) and isinstance(each.sync_session, TrackingSession) for each in arguments)


def _written(value: Any, function: str) -> Any:  # noqa: ANN401 - any argument, and what JSON writes
    if value is None or (isinstance(value, bool | int | float | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Enum | BaseModel):
        return {_name(value): _written(_plain(value), function)}
    if isinstance(value, _WRITTEN):
        return {type(value).__name__: str(value)}
    if isinstance(value, Mapping):
        return {"dict": [[_written(each, function) for each in pair] for pair in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_written(each, function) for each in value]}
    if isinstance(value, set | frozenset):
        return {"set": sorted(json.dumps(_written(each, function), sort_keys=True) for each in value)}
    raise NotCacheable(
        f"{function} is cached, and one of its arguments is of the type {type(value).__name__}.",
        hint="Pass numbers, texts, dates, UUIDs, Pydantic models, or collections of these.",
    )


def _plain(value: Enum | BaseModel) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, SQLModel) and (mapped := inspect(value, raiseerr=False)) is not None:
        return list(mapped.identity or ())  # a row is named by its key
    return value.model_dump()


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
