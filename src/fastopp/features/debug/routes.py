"""Diagnostics for an operator without a shell. Read-only, masked, and the same on both databases."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from fastopp.core.dependencies import RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.database.tables import count_rows, table_names
from fastopp.errors import FastOppError, Unavailable
from fastopp.features.accounts.detached import DetachedOperator
from fastopp.features.accounts.models import PRIVATE, User
from fastopp.features.health.probes import TIME_LIMIT, ping, pool_status
from fastopp.storage import deadlines
from fastopp.storage.base import Storage
from fastopp.web.api_docs import problems

SAMPLE_USERS = 10
SAMPLE_FILES = 10
MAX_COUNTED_FILES = 1000  # a listing of Object Storage is one request a thousand keys

router = APIRouter(prefix="/debug", tags=["debug"], responses=problems(401, 403, 503))


@router.get("/simple", summary="The application answers")
async def simple() -> dict[str, str]:
    """Open to everyone, and touches nothing."""
    return {"status": "working", "message": "The application answers.", "timestamp": datetime.now(UTC).isoformat()}


@router.get("/leapcell", summary="The platform and its capabilities")
async def platform(runtime: RuntimeDep, operator: DetachedOperator) -> dict[str, Any]:
    """The platform, why it was taken for that, and its capabilities."""
    settings = runtime.settings
    s3 = {
        "S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
        "S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
        "S3_BUCKET": settings.s3_bucket,
    }
    present = [name for name, value in s3.items() if value]
    capabilities = dataclasses.asdict(settings.platform)
    del capabilities["name"], capabilities["evidence"]
    capabilities["health_paths"] = sorted(settings.platform.health_paths)
    return {
        "platform": settings.platform.name,
        "evidence": list(settings.platform.evidence),
        "environment": settings.environment,
        "database_url": runtime.database.url.masked,
        "upload_dir": str(settings.upload_dir),
        "object_storage_enabled": settings.uses_object_storage,
        "object_storage_variables": present,
        "capabilities": capabilities,
    }


@router.get("/database", summary="The database's configuration")
async def database(runtime: RuntimeDep, operator: DetachedOperator) -> dict[str, Any]:
    """Size, writability, and what to set where; `database_path` is null unless it is a file."""
    url, settings = runtime.database.url, runtime.settings
    facts = await (
        _postgresql_facts(runtime)
        if url.backend == "postgresql"
        else asyncio.to_thread(_sqlite_facts, Path(url.database or ""))
    )
    return {
        "database_url": url.masked,
        **facts,
        "directory_writable": await asyncio.to_thread(can_write, settings.upload_dir),
        "environment": settings.environment,
        "upload_dir": str(settings.upload_dir),
        "suggestions": {
            "use_tmp": "UPLOAD_DIR=/tmp/uploads, where the project's folder is read-only",
            "leapcell_recommended": "DATABASE_URL set to the PostgreSQL URL that the platform's dashboard shows",
            "alternative_paths": [tempfile.gettempdir(), str(settings.upload_dir.parent)],
        },
    }


@router.get("/database-data", summary="The tables and their contents")
async def database_data(runtime: RuntimeDep, operator: DetachedOperator) -> dict[str, Any]:
    """Tables, their sizes in rows (estimates of large ones), and the first few accounts without anything secret."""
    async with asyncio.timeout(TIME_LIMIT), runtime.database.read() as session:
        tables = await table_names(session)
        counts = {name: counted.rows for name, counted in (await count_rows(session)).items()}
        users: list[dict[str, Any]] = []
        if User.__tablename__ in tables:
            rows = (await session.exec(select(User).order_by(User.email).limit(SAMPLE_USERS))).all()
            users = [user.model_dump(mode="json", exclude=PRIVATE) for user in rows]
    return {"tables_found": tables, "table_counts": counts, "sample_users": users, "total_tables": len(tables)}


@router.get("/settings", summary="Where uploaded files are")
async def settings_in_use(runtime: RuntimeDep, operator: DetachedOperator) -> dict[str, Any]:
    """Folders, files and the addresses they are served under."""
    settings, storage = runtime.settings, runtime.storage
    folder = settings.upload_dir
    async with deadlines.within(deadlines.FIRST_BYTE):
        photos, samples = await _keys(storage, "photos/"), await _keys(storage, "sample_photos/")
    exists = await asyncio.to_thread(
        lambda: [p.is_dir() for p in (folder, folder / "photos", folder / "sample_photos")]
    )
    addresses = [storage.url(key) for key in photos[:SAMPLE_FILES]]
    return {
        "upload_dir": str(folder),
        "upload_dir_exists": exists[0],
        "photos_dir_exists": exists[1],
        "sample_photos_dir_exists": exists[2],
        "photo_count": len(photos),
        "sample_photo_count": len(samples),
        "sample_files": photos[:SAMPLE_FILES],
        "sample_photos_files": samples[:SAMPLE_FILES],
        "environment": settings.environment,
        "static_mounts": {"general_static": "/static", "uploads_mounted_separately": True},
        "expected_photo_urls": addresses,
        "actual_photo_path": str(folder / "photos"),
        "sample_photos_path": str(folder / "sample_photos"),
        "test_urls": addresses[:1],
    }


@router.get(
    "/connection", summary="One query, and the state of the pool", responses={503: {"description": "It failed"}}
)
async def connection(runtime: RuntimeDep, operator: DetachedOperator) -> JSONResponse:
    """Ask the database for nothing, and say how that went."""
    masked = runtime.database.url.masked
    try:
        async with asyncio.timeout(TIME_LIMIT), runtime.database.read() as session:
            await ping(session)
    except (FastOppError, SQLAlchemyError, OSError, TimeoutError) as error:
        message = error.message if isinstance(error, FastOppError) else "The database does not answer; see the log."
        answer = {"status": "error", "error": message, "error_type": type(error).__name__}
        return JSONResponse(answer | {"database_url": masked, "message": message}, Unavailable.status)
    return JSONResponse(
        {
            "status": "success",
            "connection_test": "passed",
            "pool_status": pool_status(runtime),
            "database_url": masked,
            "message": "The database answers.",
        }
    )


def can_write(folder: Path) -> bool:
    """Return whether a file can be made in a folder, or in the nearest one above it that exists."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


async def _postgresql_facts(runtime: Runtime) -> dict[str, Any]:
    async with asyncio.timeout(TIME_LIMIT), runtime.database.read() as session:
        query = "SELECT pg_database_size(current_database()), pg_is_in_recovery()"
        size, read_only = (await (await session.connection()).execute(text(query))).one()
    return {
        "database_path": None,
        "database_exists": True,
        "database_writable": not read_only,
        "database_size_bytes": size,
    }


def _sqlite_facts(path: Path) -> dict[str, Any]:
    exists = path.is_file()
    return {
        "database_path": str(path.absolute()),
        "database_exists": exists,
        "database_writable": os.access(path if exists else path.absolute().parent, os.W_OK),
        "database_size_bytes": path.stat().st_size if exists else None,
    }


async def _keys(storage: Storage, prefix: str) -> list[str]:
    keys: list[str] = []
    async for file in storage.list(prefix):
        keys.append(file.key)
        if len(keys) == MAX_COUNTED_FILES:
            break
    return keys
