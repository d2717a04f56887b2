"""Puts the web layer of this package around a FastAPI application, in the one order that is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import Depends, FastAPI

from fastopp.core.apps import App
from fastopp.settings import Settings
from fastopp.web import api_docs, conditional, problems, statics
from fastopp.web.developer_errors import middleware as developer_errors
from fastopp.web.middleware.body_limit import BodyMiddleware
from fastopp.web.middleware.compression import CompressionMiddleware
from fastopp.web.middleware.conditional import ConditionalMiddleware
from fastopp.web.middleware.csrf import SameSiteMiddleware, verify_csrf_token
from fastopp.web.middleware.forwarded import ForwardedMiddleware
from fastopp.web.middleware.headers import (
    HeadMiddleware,
    RequestIdMiddleware,
    SecurityHeadersMiddleware,
    asset_origin,
)
from fastopp.web.middleware.hosts import HostMiddleware
from fastopp.web.middleware.positions import PositionMiddleware
from fastopp.web.middleware.recording import RecordingMiddleware
from fastopp.web.middleware.redirects import RelativeRedirectMiddleware
from fastopp.web.middleware.replay import ReplayMiddleware, replay_target
from fastopp.web.middleware.sessions import SchemeAwareSessions
from fastopp.web.navigation import MANAGEMENT, MenuItem
from fastopp.web.published import read_note
from fastopp.web.templating import FRAMEWORK_STATIC, Templates


def install(
    app: FastAPI,
    settings: Settings,
    apps: Sequence[App] = (),
    navigation: Sequence[MenuItem] = (),
    project: Path | None = None,
    *,
    description: str = "",
) -> None:
    """Give `app` its templates, menu, error answers, CSRF check, session, headers and body limit.

    Call it before routes are added (the CSRF check applies to later ones), and `install_static` after them.

    Parameters
    ----------
    navigation: the apps' part of the menu.
    project: the project's folder, for its own `templates/`; the current one by default.
    description: of the site, in a sentence. Its name is the application's title.
    """
    root = project or Path.cwd()
    published = read_note(root, settings)
    app.state.templates = Templates(
        settings,
        directories=template_folders(apps, root),
        static=static_folders(apps, root),
        name=app.title,
        description=description,
        catalogues=catalogue_folders(apps, root),
        published=published,
    )
    app.state.navigation = [*navigation, *MANAGEMENT]
    app.router.dependencies.append(Depends(verify_csrf_token))
    problems.install(app)
    conditional.install(app)
    app.include_router(api_docs.router)

    # The last one added is the first to see a request.
    if settings.development:
        developer_errors.install(app, settings, apps)
    if settings.database_read_url.get_secret_value():
        app.add_middleware(PositionMiddleware)
    app.add_middleware(problems.UnhandledErrorMiddleware)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(SameSiteMiddleware)
    app.add_middleware(HostMiddleware, settings=settings)
    app.add_middleware(BodyMiddleware)
    if replay_target(settings):
        app.add_middleware(ReplayMiddleware, settings=settings)
    app.add_middleware(SchemeAwareSessions, signing_keys=settings.signing_keys)
    app.add_middleware(ConditionalMiddleware)
    app.add_middleware(RelativeRedirectMiddleware)
    app.add_middleware(
        SecurityHeadersMiddleware,
        production=not settings.development,
        asset_origin=asset_origin(settings),
        static_source=published.address if published else "",
    )
    app.add_middleware(RequestIdMiddleware)
    app.add_middleware(CompressionMiddleware)
    app.add_middleware(
        ForwardedMiddleware,
        force_https=settings.force_https,
        address_header=settings.platform.client_address_header,
        proxies=settings.platform.proxies,
    )
    app.add_middleware(RecordingMiddleware, settings=settings)


def template_folders(apps: Sequence[App], root: Path | None = None) -> list[Path]:
    """The folders of templates, the first to win first: the project's, the apps'. The framework's come after them."""
    return [(root or Path.cwd()) / "templates", *(app.templates_dir for app in apps if app.templates_dir)]


def catalogue_folders(apps: Sequence[App], root: Path | None = None) -> list[Path]:
    """The folders of translations, the first to win first: the project's and the apps'."""
    return [(root or Path.cwd()) / "locale", *(app.folder / "locale" for app in apps)]


def install_static(app: FastAPI, apps: Sequence[App] = (), project: Path | None = None) -> None:
    """Serve /static. Last, so that /static/uploads, which has its own rules, is found before it."""
    statics.install(app, static_folders(apps, project or Path.cwd()))


def static_folders(apps: Sequence[App], root: Path) -> list[Path]:
    """The folders whose files are under /static: the project's, the apps', the framework's."""
    return [root / "static", *(app.static_dir for app in apps if app.static_dir), FRAMEWORK_STATIC]
