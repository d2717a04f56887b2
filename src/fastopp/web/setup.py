"""Puts the web layer of this package around a FastAPI application, in the one order that is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.sessions import SessionMiddleware

from fastopp.apps import App
from fastopp.settings import Settings
from fastopp.web import problems, statics
from fastopp.web.csrf import SameSiteMiddleware, verify_csrf_token
from fastopp.web.headers import (
    ForwardedMiddleware,
    RequestIdMiddleware,
    SecurityHeadersMiddleware,
    asset_origin,
)
from fastopp.web.templating import MenuItem, Templates

MIB = 1024 * 1024
MAX_BODY = 8 * MIB  # bytes: a photo of 5 MiB with its form, and room; routes that stream raise it for themselves
SESSION_LIFETIME = 14 * 24 * 60 * 60  # seconds; FastOpp's two weeks


def install(
    app: FastAPI,
    settings: Settings,
    apps: Sequence[App] = (),
    navigation: Sequence[MenuItem] = (),
    project: Path | None = None,
) -> None:
    """Give `app` its templates, menu, error answers, CSRF check, session, headers and body limit.

    Call it before routes are added (the CSRF check applies to later ones), and `install_static` after them.

    Parameters
    ----------
    project: the project's folder, for its own `templates/`; the current one by default.
    """
    root = project or Path.cwd()
    app.state.templates = Templates(
        settings,
        directories=[*_existing(root / "templates"), *(a.templates_dir for a in apps if a.templates_dir)],
        static=_static_folders(apps, root),
    )
    app.state.navigation = list(navigation)
    app.router.dependencies.append(Depends(verify_csrf_token))
    problems.install(app)

    # The last one added is the first to see a request.
    app.add_middleware(problems.UnhandledErrorMiddleware)
    app.add_middleware(SameSiteMiddleware)
    app.add_middleware(
        SessionMiddleware,
        secret_key=settings.secret_key.get_secret_value(),
        session_cookie="session",
        max_age=SESSION_LIFETIME,
    )
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY)
    app.add_middleware(
        SecurityHeadersMiddleware, production=not settings.development, asset_origin=asset_origin(settings)
    )
    app.add_middleware(RequestIdMiddleware)
    app.add_middleware(ForwardedMiddleware, force_https=settings.force_https)


def install_static(app: FastAPI, apps: Sequence[App] = (), project: Path | None = None) -> None:
    """Serve /static. Last, so that /static/uploads, which has rules of its own, is found before it."""
    statics.install(app, [*_static_folders(apps, project or Path.cwd()), statics.FRAMEWORK_STATIC])


def _static_folders(apps: Sequence[App], root: Path) -> list[Path]:
    return [*_existing(root / "static"), *(app.static_dir for app in apps if app.static_dir)]


def _existing(folder: Path) -> list[Path]:
    return [folder] if folder.is_dir() else []
