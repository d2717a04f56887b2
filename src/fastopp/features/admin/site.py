"""Builds the admin from what each app's admin.py defines, on SQLAdmin. Imported by the mount, on first use."""

# ruff: noqa: ANN401 - SQLAdmin and SQLAlchemy hand over rows of any model
from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqladmin import Admin
from sqladmin.authentication import login_required
from sqladmin.forms import ModelConverter
from sqladmin.models import BaseView, ModelView
from sqladmin.templating import Jinja2Templates
from sqlalchemy import Select, String, inspect, or_, select
from starlette import status
from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from fastopp.core.dependencies import get_runtime
from fastopp.core.runtime import Runtime
from fastopp.errors import BadRequest, FastOppError, NotFound, Unavailable
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import load_user
from fastopp.features.accounts.devices import read_device
from fastopp.features.accounts.landing import safe_next
from fastopp.features.accounts.models import AuditLog, User
from fastopp.features.accounts.sessions import end_session
from fastopp.features.accounts.sign_in import may_sign_in, sign_in
from fastopp.features.accounts.sign_in_steps import complete_sign_in
from fastopp.features.admin import PATH
from fastopp.features.admin.audit_admin import AuditLogAdmin
from fastopp.features.admin.authentication import SiteAuthentication, SiteAuthorization, UnsuitableText
from fastopp.features.admin.sessions import admin_sessions
from fastopp.features.admin.user_admin import UserAdmin
from fastopp.features.admin.views import AdminView, FormConverter
from fastopp.web.answers import NO_STORE
from fastopp.web.middleware.csrf import CrossSiteRequest, is_cross_site
from fastopp.web.problems import answer
from fastopp.web.template_cache import TemplateCache
from fastopp.web.templating import Templates as SiteTemplates

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
MAX_DELETED_AT_ONCE = 100  # the longest page of a list
MAX_LOGIN_FIELDS = 10  # of the sign-in form, which any client may send
MAX_LOGIN_FIELD = 4096  # bytes

NOTHING_TYPED = "Enter your email address and your password."


class Templates(Jinja2Templates):
    """SQLAdmin's templates; what is wrong with a field is shown beside it."""

    async def TemplateResponse(  # noqa: N802 - SQLAdmin's name
        self, request: Request, name: str, context: dict[str, Any] | None = None, status_code: int = 200
    ) -> Any:
        """Render a page."""
        context = context or {}
        invalid = getattr(request.state, "invalid_field", None)
        if invalid is not None and invalid.field in context.get("form", ()):
            context["form"][invalid.field].errors = [invalid.message]
        response = await super().TemplateResponse(request, name, context, status_code)
        response.headers.update(NO_STORE)
        return response


class AdminSite(Admin):
    """SQLAdmin with FastOpp's accounts, rights, error pages and look."""

    def __init__(self, runtime: Runtime, application: ASGIApp) -> None:
        self.authorization = SiteAuthorization()
        self._site: SiteTemplates = application.state.templates  # type: ignore[attr-defined]  # a FastAPI here
        super().__init__(
            # SQLAdmin mounts itself on an application; the one that serves it is another's, so this stays empty.
            Starlette(),
            session_maker=admin_sessions(runtime.database),
            base_url=PATH,
            title=f"{self._site.name} Admin",
            logo_url=self._site.static_url("logo.svg"),
            logo_width=48,
            logo_height=48,
            favicon_url=self._site.static_url("favicon.svg"),
            templates_dir=str(FOLDER / "templates"),
            authentication_backend=SiteAuthentication(),
            authorization_backend=self.authorization,
        )
        # What FastOpp keeps in the application's state is found from here too.
        self.admin.state = application.state  # type: ignore[attr-defined]  # an ASGIApp, which is a FastAPI here
        self.admin.exception_handlers = dict.fromkeys((FastOppError, HTTPException, Exception), answer)

    def init_templating_engine(self) -> Jinja2Templates:
        """SQLAdmin's environment behind our `Templates`."""
        templates = Templates(self.templates_dir)
        templates.env = super().init_templating_engine().env
        templates.env.globals |= {"static_url": self._site.static_url, "site_css": self._site.site_css}
        templates.env.bytecode_cache = TemplateCache(FOLDER / "templates/__pycache__")
        return templates

    def add_model_view(self, view: type[ModelView]) -> None:
        """Add the view of a table, and its rights."""
        if view.form_converter is ModelConverter:
            view.form_converter = FormConverter
        super().add_model_view(view)
        added = self._view(view.identity)
        if not isinstance(added, AdminView):
            added._stmt_by_identifier = _or_not_found(added._stmt_by_identifier)  # type: ignore[assignment] # noqa: SLF001 - as AdminView overrides it
        self.authorization.know(added)

    def _view(self, identity: str) -> ModelView:
        for view in self.views:
            if isinstance(view, ModelView) and view.identity == identity:
                return view
        raise HTTPException(status.HTTP_404_NOT_FOUND)

    async def login(self, request: Request) -> Response:
        """The sign-in form, with the same lock, cookies and rules as /login."""
        runtime = get_runtime(request)
        if request.method in ("GET", "HEAD"):
            async with runtime.database.read() as session:
                user = await load_user(request, session, runtime.settings, clock=runtime.clock)
            if user is not None and may_sign_in(user):
                return RedirectResponse(self._after_login(request), status.HTTP_302_FOUND, headers=NO_STORE)
            return await self._login_form(request)
        async with request.form(max_files=0, max_fields=MAX_LOGIN_FIELDS, max_part_size=MAX_LOGIN_FIELD) as form:
            email, password = str(form.get("username", "")), str(form.get("password", ""))
        if not email.strip() or not password:
            return await self._login_form(request, status.HTTP_400_BAD_REQUEST, NOTHING_TYPED, email)
        try:
            user = await sign_in(
                runtime.database,
                email=email,
                password=password,
                client=client_of(request),
                clock=runtime.clock,
                device=read_device(request, runtime.settings),
            )
            response = await complete_sign_in(request, user, self._after_login(request), runtime)
        except Unavailable:
            raise
        except FastOppError as error:
            # FastOpp 0.4.8 answered 400 to a wrong password here, as SQLAdmin does.
            code = status.HTTP_400_BAD_REQUEST if error.status == status.HTTP_401_UNAUTHORIZED else error.status
            response = await self._login_form(request, code, str(error), email)
            response.headers.update(error.headers)
        return response

    async def logout(self, request: Request) -> Response:
        """Sign out of the whole site; not from another one."""
        if is_cross_site(request.scope):
            raise CrossSiteRequest
        response = RedirectResponse(request.url_for("admin:login"), status.HTTP_302_FOUND, headers=NO_STORE)
        await end_session(request, response, get_runtime(request))
        return response

    async def create(self, request: Request) -> Response:
        """Show the form of a new row, or keep what it sends."""
        return await _with_files_closed(request, super().create(request))

    async def edit(self, request: Request) -> Response:
        """Show the form of a row, or keep what it sends."""
        return await _with_files_closed(request, super().edit(request))

    @login_required
    async def delete(self, request: Request) -> Response:
        """Delete the rows named by `pks`. Raises BadRequest."""
        keys = request.query_params.get("pks", "").split(",")
        if keys == [""] or len(keys) > MAX_DELETED_AT_ONCE:
            raise BadRequest(f"`pks` names the rows to delete: at least one, at most {MAX_DELETED_AT_ONCE}.")
        if len(keys) > 1 and await _has_comma_in_a_key(self._view(request.path_params["identity"])):
            raise BadRequest(
                "This table has a key that contains a comma, which `pks` cannot distinguish from two keys.",
                hint="Delete such rows with `python oppman.py shell`, or with a command of your app.",
            )
        response: Response = await super().delete(request)
        return response

    async def _login_form(
        self, request: Request, status_code: int = status.HTTP_200_OK, error: str = "", email: str = ""
    ) -> Response:
        context = {"error": error, "email": email, "next": request.query_params.get("next", "")}
        response: Response = await self.templates.TemplateResponse(request, "sqladmin/login.html", context, status_code)
        return response

    def _after_login(self, request: Request) -> str:
        target = safe_next(request.query_params.get("next", ""), request)
        ours = (f"{PATH}/login", f"{PATH}/logout")
        return target if target and not target.startswith(ours) else str(request.url_for("admin:index"))

    async def _handle_form_data(self, request: Request, obj: Any = None) -> FormData:  # type: ignore[override]  # static there
        fields = (await request.form()).multi_items()
        if any("\0" in value for _, value in fields if isinstance(value, str)):
            raise UnsuitableText
        view = self._view(request.path_params["identity"])
        if any(isinstance(value, UploadFile) and not _takes_file(view, name) for name, value in fields):
            raise BadRequest("A file was sent for a field that does not accept files.")
        # SQLAdmin takes a row's value for a file that can be opened, and a photo's is a URL.
        return await super()._handle_form_data(request, None if getattr(view, "photo_columns", ()) else obj)


async def _has_comma_in_a_key(view: ModelView) -> bool:
    texts = [column for column in view.pk_columns if isinstance(column.type, String)]
    if not texts:
        return False
    found = select(*view.pk_columns).where(or_(*(column.contains(",") for column in texts))).limit(1)
    async with view.session_maker() as session:
        return (await session.execute(found)).first() is not None


async def _with_files_closed(request: Request, answering: Awaitable[Response]) -> Response:
    try:
        return await answering
    finally:
        await request.close()


def _or_not_found(find: Callable[[str], Select[Any]]) -> Callable[[str], Select[Any]]:
    """Return the statement for a row's key, or answer 404 for a text that is no key."""

    def find_or_raise(identifier: str) -> Select[Any]:
        try:
            return find(identifier)
        except (ValueError, TypeError, ArithmeticError):
            raise NotFound from None

    return find_or_raise


def build_site(runtime: Runtime, application: ASGIApp) -> AdminSite:
    """The admin of a project: the views of its apps, in their order, then accounts and the record of changes."""
    site = AdminSite(runtime, application)
    for view in _views(runtime):
        site.add_view(view)
    return site


def _takes_file(view: ModelView, name: str) -> bool:
    column: Any = inspect(view.model).columns.get(name)
    return name in view.form_overrides or hasattr(getattr(column, "type", None), "storage")


_GUARDED: dict[type, type[ModelView]] = {User: UserAdmin, AuditLog: AuditLogAdmin}


def _views(runtime: Runtime) -> list[type[BaseView]]:
    from_apps: list[type[BaseView]] = [view for app in runtime.apps for view in app.admin_views()]
    chosen: list[type[BaseView]] = []
    for view in from_apps:
        guarded = _GUARDED.get(getattr(view, "model", type(None)))
        if guarded is not None and not issubclass(view, guarded):
            # A plain view of accounts would show password hashes.
            logger.warning("%s is left out: subclass %s to change it.", view.__qualname__, guarded.__qualname__)
            continue
        chosen.append(view)
    shown = {getattr(view, "model", None) for view in chosen}
    return chosen + [view for view in (UserAdmin, AuditLogAdmin) if view.model not in shown]
