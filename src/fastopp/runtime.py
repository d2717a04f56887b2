"""What a running process owns, opened and closed in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastopp.apps import App
from fastopp.database.session import Database
from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.storage.select import open_storage


@dataclass(frozen=True, slots=True)
class Runtime:
    """The settings, the one engine, the storage and the apps of this process."""

    settings: Settings
    database: Database
    storage: Storage
    apps: tuple[App, ...]


@asynccontextmanager
async def open_runtime(settings: Settings, apps: tuple[App, ...] = ()) -> AsyncIterator[Runtime]:
    """Open what a process needs, without connecting to anything yet, and close it in the end."""
    for app in apps:
        app.load_models()
    database, storage = Database.from_settings(settings), open_storage(settings)
    try:
        yield Runtime(settings, database, storage, apps)
    finally:
        try:
            if close := getattr(storage, "aclose", None):
                await close()
        finally:
            await database.dispose()
