"""Puts the parts of a FastOpp application together. Importing this module imports FastAPI and SQLAlchemy."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from functools import partial
from importlib import import_module
from typing import Literal, cast

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.apps import App
from fastopp.core.features import find_features
from fastopp.core.runtime import Runtime, open_runtime
from fastopp.core.tracing import open_tracing
from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.web import setup, uploads
from fastopp.web.later import Application, LaterRoutes

log = logging.getLogger(__name__)

API = "A FastOpp project: see /docs of each app's section, and docs/ of the repository."


def assemble(
    settings: Settings,
    apps: tuple[App, ...],
    clock: Clock = SYSTEM_CLOCK,
    storage: Storage | None = None,
    title: str = "FastOpp",
    description: str = "",
) -> tuple[FastAPI, AbstractAsyncContextManager[Runtime]]:
    """Build the FastAPI application, and the runtime that is to be opened before its first request.

    A project's apps may replace any page of the framework but not its operations. /static takes what is left below it.
    """
    tracing = open_tracing(settings, clock)
    application = Application(
        title=title,
        description=description or API,
        docs_url=None,
        redoc_url=None,
        telemetry=cast("TelemetryConfig", tracing.fastapi) if tracing is not None else None,
    )
    navigation = [item for app in apps for item in app.navigation()]
    setup.install(application, settings, apps, navigation, description=description)
    _install(application, "OPERATIONS", settings)
    application.include_router(uploads.create_router(settings.platform.max_response_body))
    for app in apps:
        _install_app(application, app, settings)
    _install(application, "PAGES", settings)
    setup.install_static(application, apps)
    return application, open_runtime(settings, apps, clock=clock, storage=storage, title=title, tracing=tracing)


def _install(application: FastAPI, kind: Literal["OPERATIONS", "PAGES"], settings: Settings) -> None:
    """Add the features' routes of a kind, as `fastopp.core.features` describes it."""
    for feature in find_features():
        declared: dict[str, tuple[str, ...]] = getattr(import_module(feature.package), kind, {})
        for module, paths in declared.items():
            load = partial(_load, f"{feature.package}.{module}", settings)
            application.router.routes.append(LaterRoutes(application, paths, load))


def _load(name: str, settings: Settings) -> APIRouter:
    module = import_module(name)
    create = getattr(module, "create_router", None)
    router: APIRouter = create(settings) if create else module.router
    return router


def _install_app(application: FastAPI, app: App, settings: Settings) -> None:
    """Add the routes of an app."""
    later = app.later()
    if later and settings.development:
        log.warning(
            "LATER of %s will not be read any more: include the routers of its modules in routes.py, and remove it.",
            app.package,
        )
    for module in ("routes", *later):
        if (router := app.router(module)) is not None:
            application.include_router(router)
