"""Export an account: one JSON document of the framework's rows and of what the apps have.

It is written to a temporary file before it is sent, so that a slow client holds no connection to the database, and a
failure is answered as one.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import IO, Any, Final

from anyio import to_thread
from sqlalchemy import inspect
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError, Unavailable
from fastopp.features.account.hooks import AppExport, find_exports
from fastopp.features.accounts.models import PRIVATE, AccountLink, AuditLog, User, UserSession
from fastopp.features.passkeys.models import Passkey
from fastopp.features.providers.models import ExternalIdentity
from fastopp.features.second_factor.models import RecoveryCode, SecondFactor

PRIVATE_OF_PASSKEYS: Final = {"user_id", "credential_id", "public_key", "sign_count", "last_challenge_at"}
MAX_BYTES: Final = 50 * 1024 * 1024
"""Of an export, where the platform allows so much."""
MAX_SECONDS: Final = 60
BATCH: Final = 500  # rows of one query
CHUNK: Final = 256 * 1024  # bytes that are written or sent at once
IN_MEMORY: Final = 1024 * 1024  # bytes; what is longer goes to disk


class ExportTooBig(FastOppError):
    """The export is too large."""

    status = 413
    hint = "Ask an administrator for it."


class ExportTooSlow(Unavailable):
    """The export takes too long."""

    hint = "Try again later."


async def write_export(runtime: Runtime, user: User) -> IO[bytes]:
    """Return a file with the export, at its beginning. Raises ExportTooBig, ExportTooSlow, DatabaseUnavailable."""
    limit = min(MAX_BYTES, runtime.settings.platform.max_response_body or MAX_BYTES)
    with ExitStack() as undo:
        file: IO[bytes] = undo.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))
        try:
            async with asyncio.timeout(MAX_SECONDS), runtime.database.read() as session:
                await _write(file, _document(session, user, find_exports(runtime.apps), runtime), limit)
        except TimeoutError:
            raise ExportTooSlow from None
        file.seek(0)
        undo.pop_all()  # `send_chunks` closes it
    return file


async def send_chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield the content of a file, and close it."""
    try:
        while chunk := await to_thread.run_sync(file.read, CHUNK):
            yield chunk
    finally:
        file.close()


async def _write(file: IO[bytes], pieces: AsyncIterator[str], limit: int) -> None:
    waiting, total = bytearray(), 0
    async for piece in pieces:
        encoded = piece.encode(errors="backslashreplace")
        total += len(encoded)
        if total > limit:
            raise ExportTooBig
        waiting += encoded
        if len(waiting) >= CHUNK:
            await to_thread.run_sync(file.write, bytes(waiting))
            waiting.clear()
    await to_thread.run_sync(file.write, bytes(waiting))


async def _document(
    session: AsyncSession, user: User, exports: Iterable[AppExport], runtime: Runtime
) -> AsyncIterator[str]:
    yield f'{{"exported_at":{_json(runtime.clock.now())},"account":{_json(user.model_dump(exclude=PRIVATE))}'
    for name, rows in (
        ("sessions", _rows(session, UserSession, user, {"secret_digest"})),
        ("links", _rows(session, AccountLink, user, {"digest"})),
        ("identities", _rows(session, ExternalIdentity, user, set())),
        ("second_factors", _rows(session, SecondFactor, user, {"user_id", "secret", "last_step"})),
        ("recovery_codes", _rows(session, RecoveryCode, user, {"user_id", "digest"})),
        ("passkeys", _rows(session, Passkey, user, PRIVATE_OF_PASSKEYS)),
        ("audit_log", _rows(session, AuditLog, user, set())),
    ):
        yield f',"{name}":'
        async for piece in _listed(rows):
            yield piece
    yield ',"apps":{'
    separator = ""
    for app, export in exports:
        yield f"{separator}{_json(app)}:"
        separator = ","
        exported = export(session, user)
        if isinstance(exported, AsyncIterator):
            async for piece in _listed(exported):
                yield piece
        else:
            yield _json(await exported)
    yield "}}\n"


async def _listed(rows: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[str]:
    yield "["
    separator = ""
    async for row in rows:
        yield separator + _json(row)
        separator = ","
    yield "]"


async def _rows(
    session: AsyncSession, model: type[Any], user: User, private: set[str]
) -> AsyncIterator[Mapping[str, Any]]:
    [key] = inspect(model).primary_key
    own = select(model).where(col(model.user_id) == user.id).order_by(key).limit(BATCH)
    found = (await session.exec(own)).all()
    while found:
        for row in found:
            yield row.model_dump(exclude=private)
        session.expunge_all()
        last = getattr(found[-1], key.name)
        found = (await session.exec(own.where(key > last))).all() if len(found) == BATCH else []


def _json(value: object) -> str:
    return json.dumps(value, default=_text, separators=(",", ":"))


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
