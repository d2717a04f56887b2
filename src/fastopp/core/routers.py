"""The routes of the features, in the order an application takes them.

Most are imported with the first request for one of them. The pages of visitors and platforms are imported at once.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from fastopp.features.health import routes as health
from fastopp.features.health import status
from fastopp.features.health.probes import HealthMonitor
from fastopp.features.setup import home
from fastopp.settings import Settings
from fastopp.web.later import LaterRoutes


def install_operations(application: FastAPI, settings: Settings) -> None:
    """Install the routes that no app may replace: health, debugging, triggers, and, while enabled, emergency access."""
    monitor = HealthMonitor()
    application.include_router(health.create_router(monitor))
    application.include_router(status.create_router(monitor))
    prefixes = ["/debug", "/async", "/metrics", "/oppman/files", "/api/uploads"]
    prefixes += [f"/admin/{name}" for name in ("backup-files", "restore-files", "backup-database", "restore-database")]
    if settings.emergency_access_enabled:
        prefixes.append("/oppman/emergency")

    def load() -> list[APIRouter]:
        from fastopp.features.database_backups import routes as database_backup  # noqa: PLC0415 - on first use
        from fastopp.features.debug import routes as debug  # noqa: PLC0415 - as above
        from fastopp.features.emergency import routes as emergency  # noqa: PLC0415 - as above
        from fastopp.features.files import routes as files  # noqa: PLC0415 - as above
        from fastopp.features.files import uploads as direct_uploads  # noqa: PLC0415 - as above
        from fastopp.features.jobs import api as tasks_api  # noqa: PLC0415 - as above
        from fastopp.features.jobs import drain, metrics, triggers  # noqa: PLC0415 - as above

        # A task's name is the last part of a trigger's address, so these come after what has a fixed one.
        routers = [debug.router, tasks_api.router, drain.router, triggers.router]
        routers += [database_backup.router, files.create_router(), direct_uploads.router, metrics.router]
        return routers + ([emergency.create_router(monitor)] if settings.emergency_access_enabled else [])

    application.router.routes.append(LaterRoutes(application, prefixes, load))


def install_pages(application: FastAPI) -> None:
    """The management pages and what their forms do."""

    def load() -> list[APIRouter]:
        from fastopp.features.accounts import management as user_management  # noqa: PLC0415 - on first use
        from fastopp.features.jobs import page as tasks_page  # noqa: PLC0415 - as above
        from fastopp.features.migrations import routes as migrations  # noqa: PLC0415 - as above
        from fastopp.features.setup import oppdemo, oppman  # noqa: PLC0415 - as above

        return [oppman.router, user_management.router, migrations.router, tasks_page.router, oppdemo.router]

    application.include_router(home.router)
    application.router.routes.append(LaterRoutes(application, ["/oppman", "/oppdemo"], load))
