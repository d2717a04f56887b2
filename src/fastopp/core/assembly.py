"""Puts the parts of a FastOpp application together. Importing this module imports FastAPI and SQLAlchemy."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial

from fastapi import APIRouter, FastAPI

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core import routers
from fastopp.core.apps import App
from fastopp.core.runtime import Runtime, open_runtime
from fastopp.features.accounts import routes as auth_routes
from fastopp.features.accounts.sessions import session_middleware
from fastopp.features.admin.mount import admin_mount
from fastopp.settings import Settings
from fastopp.web import setup, uploads
from fastopp.web.later import Application, LaterRoutes

DESCRIPTION = "A FastOpp project: see /docs of each app's section, and docs/ of the repository."


def assemble(
    settings: Settings, apps: tuple[App, ...], clock: Clock = SYSTEM_CLOCK
) -> tuple[FastAPI, AbstractAsyncContextManager[Runtime]]:
    """Build the FastAPI application, and the runtime that is to be opened before its first request.

    Routes are added from the most particular to the most general: a project's apps may replace any page of the
    framework but not its operations, and /admin and /static take what is left below them.
    """
    application = Application(title="FastOpp", description=DESCRIPTION, docs_url=None, redoc_url=None)
    navigation = [item for app in apps for item in app.navigation()]
    setup.install(application, settings, apps, navigation, sessions=session_middleware(settings))
    routers.install_operations(application, settings)
    application.include_router(uploads.create_router(settings.platform.max_response_body))
    for app in apps:
        _install(application, app)
    application.include_router(auth_routes.router)
    routers.install_pages(application)
    application.router.routes.append(admin_mount())
    setup.install_static(application, apps)
    return application, open_runtime(settings, apps, clock=clock)


def _install(application: FastAPI, app: App) -> None:
    """Add the routes of an app, those of LATER after the others."""
    later = app.later()
    if "routes" not in later and (router := app.router()) is not None:
        application.include_router(router)
    for module, paths in later.items():
        application.router.routes.append(LaterRoutes(application, paths, partial(_load, app, module)))


def _load(app: App, module: str) -> list[APIRouter]:
    router = app.router(module)
    return [] if router is None else [router]
