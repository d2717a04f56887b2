"""Jinja for the whole application: one environment, and what every page may use.

A page is looked for in the project's `templates/`, then in each app's, then in the framework's, so that a
project may replace any page by a file of the same name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from fastopp.settings import Settings
from fastopp.web import csrf_tokens as csrf
from fastopp.web.languages import (
    Reader,
    as_extension,
    format_moment,
    reader_of,
    translate,
    writing_for,
    zone_name,
)
from fastopp.web.navigation import visible_navigation
from fastopp.web.nonces import page_nonce
from fastopp.web.published import PublishedSet

if TYPE_CHECKING:
    from jinja2 import Environment

FRAMEWORK_TEMPLATES = Path(__file__).parent / "templates"
COMPILED_TEMPLATES = FRAMEWORK_TEMPLATES / "__pycache__"
FRAMEWORK_STATIC = Path(__file__).parent / "static"
SITE_CSS = "site.css"  # in static/; after the compiled CSS, on the admin's pages too
LICENCE = Path("LICENSE")  # of the project; the footer leads to it if there is one


class Templates:
    """The Jinja environment of one application. It lives in `app.state.templates`; pages go through `render`.

    Parameters
    ----------
    settings: for the badge, and to reload changed files in development.
    directories: template folders, the first to win first; the framework's own is always the last.
    static: folders behind /static, in the same order; `static_url` hashes the files in them.
    catalogues: folders of translations, in the same order.
    name, description: of the site, for titles, header and footer.
    published: the static files that are at a CDN.
    """

    def __init__(
        self,
        settings: Settings,
        directories: Sequence[Path] = (),
        static: Sequence[Path] = (),
        *,
        catalogues: Sequence[Path] = (),
        name: str = "FastOpp",
        description: str = "",
        published: PublishedSet | None = None,
    ) -> None:
        self.settings = settings
        self.published = published
        self.name = name
        self.description = description
        self.directories = (*directories, FRAMEWORK_TEMPLATES)
        self.catalogues = tuple(catalogues)
        self.static = (*static, FRAMEWORK_STATIC)
        self._addresses: dict[str, tuple[float, str]] = {}  # with the time of the file's change

    @cached_property
    def environment(self) -> Environment:
        """Made on first use: an API-only process never pays for it."""
        from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape  # noqa: PLC0415 - 70 ms

        from fastopp.web.template_cache import TemplateCache  # noqa: PLC0415 - imports Jinja

        environment = Environment(
            loader=FileSystemLoader(self.directories),
            autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
            undefined=StrictUndefined,
            auto_reload=self.settings.development,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=-1,
            bytecode_cache=TemplateCache(COMPILED_TEMPLATES),
        )
        environment.globals |= {
            "site_name": self.name,
            "site_description": self.description,
            "site_css": self.site_css,
            "static_url": self.static_url,
            "platform_name": self.settings.platform.title,
            "development": self.settings.development,
            "runs_between_requests": self.settings.platform.background_cpu,
            "has_licence": LICENCE.is_file(),
            "attribute": html_attribute,
            "htmx_file": _vendored("htmx-*.min.js"),
            "alpine_file": _vendored("alpine-csp-*.min.js"),
            "swagger_js": _vendored("swagger-ui-*.js"),
            "swagger_css": _vendored("swagger-ui-*.css"),
        }
        environment.filters |= {
            "code": mark_code,
            "date": format_date,
            "datetime": format_datetime,
            "plain_datetime": plain_datetime,
            "initials": initials,
            "translated": translate,
        }
        as_extension(environment)
        return environment

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """The text of a template. Raises jinja2.TemplateNotFound, jinja2.UndefinedError."""
        get = self.environment.get_template
        # Looked up each time, which costs nothing once cached, so that an edit shows without a restart.
        components = {"ui": get("components.html").module, "icon": vars(get("icons.html").module)["icon"]}
        return get(name).render(components | dict(context))

    def compile_all(self) -> int:
        """Compile every template, for a build step; returns how many. Raises jinja2.TemplateSyntaxError."""
        names = self.environment.list_templates(extensions=["html", "txt"])
        for name in names:
            self.environment.get_template(name)
        return len(names)

    def static_url(self, path: str) -> str:
        """`/static/<path>?v=<hash of the content>`, or the file at the CDN: such an address may be cached for ever."""
        if self.published is not None and (address := self.published.url(path)):
            return address
        known = self._addresses.get(path)
        if known is not None and not self.settings.development:  # where a file may change, it is looked at each time
            return known[1]
        file = self._static_file(path)
        if file is None:
            return f"/static/{quote(path)}"
        modified = file.stat().st_mtime
        if known is None or known[0] != modified:
            version = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
            known = self._addresses[path] = (modified, f"/static/{quote(path)}?v={version}")
        return known[1]

    def site_css(self) -> str | None:
        """The address of the site's own stylesheet, if it has one."""
        there = self._static_file(SITE_CSS) is not None if self.settings.development else self._has_site_css
        return self.static_url(SITE_CSS) if there else None

    @cached_property
    def _has_site_css(self) -> bool:
        return self._static_file(SITE_CSS) is not None

    def _static_file(self, path: str) -> Path | None:
        return next((file for folder in self.static if (file := folder / path).is_file()), None)


def _vendored(pattern: str) -> str:
    """The file of a script that `script/css --vendor` copied; its version is in the name."""
    return next((FRAMEWORK_STATIC / "vendor").glob(pattern)).name


def render(
    request: Request,
    name: str,
    context: Mapping[str, Any] | None = None,
    *,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Return a page, or a fragment of one.

    Beside `context` a template may use

    - `user`, or None; `maybe_signed_in`, when the user was not read (error pages);
    - `navigation`: the menu's sections, each with its items, of what this user may open; `active(path)`;
    - `csrf_field()` in forms, `csrf_token()`;
    - `csp_nonce`, for inline scripts: `<script nonce="{{ csp_nonce }}">`;
    - `query(**changes)`: this address's parameters with some changed; `path`, `request`;
    - `language`, like `en`; `_("text")`, `{% trans %}` and, for texts of the program, `|translated` translate;
    - `static_url(path)`, `platform_name`, `development`, `site_name`, `site_description`;
    - without an import `ui` (components.html) and `icon(name)` (icons.html).

    Raises
    ------
    jinja2.TemplateNotFound, jinja2.UndefinedError: a mistake in the program.
    """
    templates = templates_of(request)
    reader = reader_of_request(request)
    with writing_for(reader):
        text = templates.render(name, page_context(request) | dict(context or {}))
    return HTMLResponse(text, status_code=status_code, headers=headers)


def templates_of(request: Request) -> Templates:
    """Return the templates of the application."""
    templates: Templates = request.app.state.templates
    return templates


def reader_of_request(request: Request) -> Reader:
    """Return the language and time zone of the request's account, or else the language of the browser."""
    templates, user = templates_of(request), getattr(request.state, "user", None)
    return reader_of(templates.settings, user, request.headers.get("accept-language", ""), templates.catalogues)


def page_context(request: Request) -> dict[str, Any]:
    """Return the variables that every page may use; see `render`."""
    user = getattr(request.state, "user", None)
    path: str = request.scope["path"]

    def csrf_token() -> str:
        return csrf.token(request)

    def csrf_field() -> Markup:
        return Markup('<input type="hidden" name="{}" value="{}">').format(csrf.FIELD, csrf.token(request))

    def active(href: str) -> bool:
        target = href.rstrip("/") or "/"
        return path == target or (target != "/" and path.startswith(target + "/"))

    def query(**changes: object) -> str:
        """This page's query string with some parameters changed; None takes one away."""
        parameters = dict(request.query_params) | changes
        return "?" + urlencode({name: value for name, value in parameters.items() if value not in (None, "")})

    return {
        "request": request,
        "language": reader_of_request(request).language,
        "user": user,
        "maybe_signed_in": not hasattr(request.state, "user") and csrf.has_token_cookie(request),
        "path": path,
        "navigation": visible_navigation(getattr(request.app.state, "navigation", ()), user),
        "csrf_token": csrf_token,
        "csp_nonce": page_nonce(request),
        "csrf_field": csrf_field,
        "csrf_wanted": csrf.is_wanted(request),
        "active": active,
        "query": query,
    }


def format_date(moment: datetime | None) -> Markup:
    """A date as people read it, in a `<time>` that machines can read."""
    return _time(moment, time_of_day=False)


def format_datetime(moment: datetime | None) -> Markup:
    """A date and a time of day, in the reader's time zone, or in UTC."""
    return _time(moment, time_of_day=True)


def _time(moment: datetime | None, *, time_of_day: bool) -> Markup:
    if moment is None:
        return escape("-")
    shown = format_moment(moment, time_of_day=time_of_day)
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), shown)


def plain_datetime(moment: datetime) -> str:
    """A date and a time of day for mails in plain text, with the name of the time zone."""
    return f"{format_moment(moment, time_of_day=True)} {zone_name(moment)}"


def html_attribute(value: object) -> object:
    """A value for Jinja's `xmlattr`: True is an attribute without a value, False and None none at all."""
    return "" if value is True else None if value is False else value


def mark_code(text: str) -> Markup:
    """A message as HTML, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def initials(name: str) -> str:
    """One or two letters that stand for a person without a photo."""
    words = name.split()
    letters = words[0][:1] + (words[-1][:1] if len(words) > 1 else "") if words else "?"
    return letters.upper()
