"""The routes of the operations, in the order an application takes them."""

from __future__ import annotations

from fastapi import APIRouter

from fastopp.ops import (
    database_backup,
    debug,
    direct_uploads,
    emergency,
    files,
    health,
    home,
    migrations,
    oppdemo,
    oppman,
    status,
    triggers,
    user_management,
)
from fastopp.ops.checks import HealthMonitor
from fastopp.settings import Settings


def operations(settings: Settings) -> list[APIRouter]:
    """What no app may replace: health, debugging, triggers, and (only while it is enabled) emergency access."""
    monitor = HealthMonitor()
    routers = [health.create_router(monitor), status.create_router(monitor), debug.router, triggers.router]
    routers += [database_backup.router, files.create_router(), direct_uploads.router]
    if settings.emergency_access_enabled:
        routers.append(emergency.create_router(monitor))
    return routers


def pages(settings: Settings) -> list[APIRouter]:
    """The management pages and what their forms do."""
    return [home.router, oppman.router, user_management.router, migrations.router, oppdemo.router]
