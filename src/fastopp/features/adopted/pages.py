"""Pages as the code of FastOpp 0.4.8 renders them: `templates.TemplateResponse("shop.html", {"request": request})`."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, Template, Undefined
from starlette.background import BackgroundTask

from fastopp.features.adopted.accounts import session_value
from fastopp.web.csrf_tokens import has_token_cookie
from fastopp.web.templating import Templates, page_context

# Scripts need the response's nonce. Styles and pictures may be inline and from other sites, as these pages have them.
POLICY = (
    "default-src 'self'; script-src 'nonce-{nonce}' 'self'; style-src 'unsafe-inline' 'self' https:; "
    "img-src 'self' data: blob: https:; font-src 'self' data: https:; connect-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


class Jinja2Templates:
    """The templates of one adopted app.

    Parameters
    ----------
    app: the app's name; its templates are in `templates/<app>/`.
    """

    def __init__(self, app: str) -> None:
        self.app = app
        self.env = Environment(autoescape=True)
        """Filters and globals that the project's code adds."""
        self._environments: WeakKeyDictionary[Environment, Environment] = WeakKeyDictionary()

    def TemplateResponse(  # noqa: N802 - Starlette's name
        self,
        *args: Any,  # noqa: ANN401 - (name, context) or (request, name, context)
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
        **named: Any,  # noqa: ANN401 - the same by name
    ) -> HTMLResponse:
        """Return a page, called as in any version of Starlette. An unknown variable in it is empty."""
        order = ("name", "context") if args and isinstance(args[0], str) else ("request", "name", "context")
        named |= dict(zip((*order, "status_code"), args, strict=False))
        context: dict[str, Any] = named.get("context") or {}
        request: Request = named.get("request") or context["request"]
        nonce = secrets.token_urlsafe(16)
        template = self._environment(request).get_template(f"{self.app}/{named['name']}")
        text = template.render(page_context(request) | get_template_context(request) | {"csp_nonce": nonce} | context)
        return HTMLResponse(
            text,
            status_code=named.get("status_code", status_code),
            headers={"Content-Security-Policy": POLICY.format(nonce=nonce)} | (headers or {}),
            media_type=media_type,
            background=background,
        )

    def get_template(self, request: Request, name: str) -> Template:
        """Return a template by its name in the app."""
        return self._environment(request).get_template(f"{self.app}/{name}")

    def _environment(self, request: Request) -> Environment:
        templates: Templates = request.app.state.templates
        site = templates.environment
        if site not in self._environments:
            own = site.overlay(undefined=Undefined)
            own.filters = site.filters | self.env.filters
            own.globals = site.globals | self.env.globals
            self._environments[site] = own
        return self._environments[site]


def get_template_context(request: Request) -> dict[str, Any]:
    """Return the variables that every template of FastOpp 0.4.8 could use."""

    def url_for(name: str, /, **path: Any) -> str:  # noqa: ANN401 - parameters of a route
        if name == "static":
            templates: Templates = request.app.state.templates
            return templates.static_url(str(path["path"]).lstrip("/"))
        return str(request.url_for(name, **path))

    keys = ("is_superuser", "is_staff", "user_email", "group")
    return {
        "url_for": url_for,
        "session_value": partial(session_value, request),
        "is_authenticated": session_value(request, "is_authenticated", has_token_cookie(request)),
        "current_user": getattr(request.state, "user", None),
        **{"user_group" if key == "group" else key: session_value(request, key) for key in keys},
    }
