"""Backups of the database without a shell: into Object Storage, or as a download; and back again.

All data that leaves the process here is encrypted, since Object Storage may be readable by anyone who knows the URL.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from sqlmodel import SQLModel

from fastopp.core.dependencies import RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError
from fastopp.features.accounts.detached import DetachedOperator
from fastopp.features.database_backups.dump.backup_file import ENCRYPTED_SUFFIX, read_file, time_stamp, write_file
from fastopp.features.database_backups.dump.dump import DatabaseDump
from fastopp.features.database_backups.dump.encryption import encrypt
from fastopp.features.database_backups.dump.errors import DumpTimeout
from fastopp.features.database_backups.restore_record import record_restore, sha256_of
from fastopp.features.database_backups.stored import backup_address, new_key, prune_backups, stored_backups
from fastopp.platforms import strictest
from fastopp.storage.base import Storage, StoredFile
from fastopp.storage.keys import DEFAULT_CONTENT_TYPE
from fastopp.storage.select import backup_storage
from fastopp.tasks.host import Host
from fastopp.web.answers import NO_STORE
from fastopp.web.api_docs import problems
from fastopp.web.middleware.disconnect import while_connected

TIME_BUDGET = strictest.REQUEST_BUDGET

MAX_DUMP = strictest.REQUEST_BODY

_PIECE = 256 * 1024  # bytes

router = APIRouter(
    prefix="/admin", tags=["backup"], responses=problems(400, 401, 403, 404, 409, 413, 422, 500, 502, 503, 507)
)

_BACKED_UP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The key of the backup, or the backup itself.",
        "content": {"application/json": {}, DEFAULT_CONTENT_TYPE: {}},
    }
}


class BackupTooBig(FastOppError):
    """The backup is larger than this platform allows for a response."""

    status = 507
    hint = "Set S3_ACCESS_KEY, S3_SECRET_KEY and S3_BUCKET, to store it in the Object Storage instead."


async def upload_backup(runtime: Host, key: str | None = None) -> tuple[StoredFile, DatabaseDump]:
    """Put an encrypted dump into Object Storage as `key`, by default a new one. Raises NoObjectStorage."""
    key = key or new_key()
    storage = object_storage(runtime)
    async with _temporary_file() as path:
        # Complete before it is sent: the dump's transaction does not wait for the storage.
        async with _encrypted_dump(runtime) as (dump, chunks):
            await write_file(path, chunks)
        file = await asyncio.to_thread(path.open, "rb")
        async with aclosing(_pieces(file)) as pieces:
            return await storage.put(key, pieces, content_type=DEFAULT_CONTENT_TYPE), dump


@router.post("/backup-database", summary="Back up the database", response_model=None, responses=_BACKED_UP)
async def backup_database(
    runtime: RuntimeDep,
    operator: DetachedOperator,
    keep: Annotated[
        int | None,
        Query(ge=1, description="Then delete all but this number of the newest backups."),
    ] = None,
) -> Response:
    """An encrypted dump: put into Object Storage where that is set up, else sent as the answer.

    It is encrypted with BACKUP_KEY, or SECRET_KEY when that is not set. 503 when it takes more than 14 minutes; then,
    as after any failure, nothing is kept of it.
    """
    began = time.monotonic()
    async with _in_time():
        if not runtime.settings.has_object_storage:
            return await _download(runtime)
        stored, dump = await upload_backup(runtime)
        deleted = await prune_backups(object_storage(runtime), keep) if keep else []
    return JSONResponse(
        {
            "status": "success",
            "message": f"The database is backed up as {stored.key}.",
            "key": stored.key,
            "bytes": stored.size,
            "encrypted_with": "BACKUP_KEY" if runtime.settings.backup_key.get_secret_value() else "SECRET_KEY",
            "revision": dump.revision,
            "rows": dump.rows,
            "deleted": deleted,
            "seconds": round(time.monotonic() - began, 1),
        },
        headers=NO_STORE,
    )


@router.get(
    "/backup-database",
    summary="The backups of the database",
    response_model=None,
    responses={307: {"description": "A URL of the backup `key`, valid for five minutes."}},
)
async def list_database_backups(
    runtime: RuntimeDep,
    operator: DetachedOperator,
    key: Annotated[str, Query(description="Fetch this backup instead of listing them.")] = "",
) -> Response:
    """Those in Object Storage, newest first; or one of them."""
    if key:
        return RedirectResponse(await backup_address(object_storage(runtime), key), 307, NO_STORE)
    files = await stored_backups(object_storage(runtime))
    backups = [{"key": file.key, "bytes": file.size, "modified": file.modified.isoformat()} for file in files]
    return JSONResponse({"backups": backups}, headers=NO_STORE)


@router.post("/restore-database", summary="Restore a backup of the database", max_body_size=MAX_DUMP)
async def restore_database(
    request: Request,
    runtime: RuntimeDep,
    operator: DetachedOperator,
    confirm: Annotated[Literal["RESTORE"], Query(description="The word RESTORE.")],
    key: Annotated[str, Query(description="A backup in Object Storage. Without it: the file is the body.")] = "",
    force: Annotated[bool, Query(description="Replace existing rows.")] = False,  # noqa: FBT002 - a query parameter
) -> JSONResponse:
    """All of it or nothing. 409 for a database that has rows, unless `force` is given: then they are all replaced.

    The backup must be encrypted with this project's BACKUP_KEY or SECRET_KEY. The restored audit log says who did it.
    """
    from fastopp.features.database_backups.dump.restore import restore  # noqa: PLC0415 - it imports Alembic

    source: AsyncIterable[bytes] = object_storage(runtime).stream(key) if key else request.stream()
    async with _in_time(), _temporary_file() as path:
        # Here before the database is locked, however slowly it comes.
        await write_file(path, source)
        digest = await asyncio.to_thread(sha256_of, path)
        async with aclosing(read_file(path)) as chunks:
            restoring = restore(
                runtime.database.url,
                chunks,
                secrets=runtime.settings.backup_keys,
                plain=False,
                force=force,
                metadata=SQLModel.metadata,
                timeout=TIME_BUDGET,
            )
            done = await while_connected(request, restoring, until_sigterm=True)
    await record_restore(runtime, request, operator, done, source=key or "request body", digest=digest)
    answer: dict[str, Any] = {
        "status": "success",
        "message": f"The database is restored, at migration {done.revision}.",
        "revision": done.revision,
        "rows": done.rows,
        "skipped": done.skipped,
        "ended_sessions": done.ended_sessions,
    }
    return JSONResponse(answer, headers=NO_STORE)


def object_storage(runtime: Host) -> Storage:
    """The Object Storage without a cache in front of it, be it for uploaded files too or only for backups."""
    return backup_storage(runtime.settings, runtime.storage)


@asynccontextmanager
async def _encrypted_dump(runtime: Host) -> AsyncGenerator[tuple[DatabaseDump, AsyncIterable[bytes]]]:
    dump = DatabaseDump(runtime.database.url, SQLModel.metadata)
    async with aclosing(dump.chunks()) as chunks:  # its connection is closed even if the reader fails
        yield dump, encrypt(chunks, runtime.settings.backup_keys[0])


async def _download(runtime: Runtime) -> Response:
    """The dump as a file to keep. Complete before the answer begins, so that a failure is answered as one."""
    async with _temporary_file() as path:
        async with _encrypted_dump(runtime) as (_, chunks):
            size = await write_file(path, chunks)
        limit = runtime.settings.platform.max_response_body
        if limit is not None and size > limit:
            raise BackupTooBig
        file = await asyncio.to_thread(path.open, "rb")  # it stays readable after its name is gone
    name = f"database-{time_stamp()}{ENCRYPTED_SUFFIX}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    return StreamingResponse(_pieces(file), media_type=DEFAULT_CONTENT_TYPE, headers=headers | NO_STORE)


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece


@asynccontextmanager
async def _temporary_file() -> AsyncGenerator[Path]:
    # Not in a thread: a request that is cancelled meanwhile would leave the folder behind.
    with tempfile.TemporaryDirectory(prefix="fastopp-backup-") as folder:
        yield Path(folder) / "database"


@asynccontextmanager
async def _in_time() -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(TIME_BUDGET):
            yield
    except TimeoutError as error:
        raise DumpTimeout from error
