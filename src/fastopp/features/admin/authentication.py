"""Admit users to the admin by the site's own accounts and rights."""

# ruff: noqa: ANN401 - SQLAdmin and SQLAlchemy hand over rows of any model
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqladmin.application import BaseAdmin
from sqladmin.authentication import AuthenticationBackend
from sqladmin.authorization import Action, AuthorizationBackend
from sqladmin.models import ModelView
from sqlalchemy import false
from starlette.requests import Request
from starlette.responses import Response

from fastopp.core.dependencies import READ_ONLY_METHODS, get_runtime
from fastopp.errors import BadRequest
from fastopp.features.accounts import permissions
from fastopp.features.accounts.current_user import NotSignedIn, StaffOnly, load_user
from fastopp.features.accounts.models import User
from fastopp.features.accounts.permissions import FULL, READ_ONLY, STAFF, SUPERUSER, Grant, Rights
from fastopp.features.accounts.sign_in import may_sign_in
from fastopp.features.admin.sessions import Actor, current_actor
from fastopp.web.middleware.csrf import CrossSiteRequest, is_cross_site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement

# What SQLAdmin asks about, in the words of the site's rights.
_ACTIONS: Mapping[str, permissions.Action] = {
    Action.LIST: "view",
    Action.DETAILS: "view",
    Action.EXPORT: "view",
    Action.CREATE: "create",
    Action.IMPORT: "create",
    Action.EDIT: "edit",
    Action.DELETE: "delete",
}

# Views that say nothing of rights: all staff may look, as in FastOpp 0.4.8, and superusers may change.
_PLAIN: Mapping[str, Grant] = {SUPERUSER: FULL, STAFF: READ_ONLY}


class UnsuitableText(BadRequest):
    """The request contains a NUL character."""


class SiteAuthentication(AuthenticationBackend):
    """Signs in with the site's own accounts and cookies, so that /login and /admin/login are the same."""

    def __init__(self) -> None:
        # The application's session layer is around the admin already.
        self.middlewares = []

    async def authenticate(self, request: Request) -> Response | bool:
        """Let staff and superusers in, by the rights their row has now.

        Raises NotSignedIn (a browser is sent to the sign-in page), StaffOnly, CrossSiteRequest, UnsuitableText,
        DatabaseUnavailable.
        """
        if any("\0" in text for text in (request.url.path, *request.query_params.values())):
            raise UnsuitableText
        runtime = get_runtime(request)
        # SQLAdmin's custom actions change things by GET.
        changes = request.method not in READ_ONLY_METHODS or "/action/" in request.url.path
        async with runtime.database.read() as session:
            user = await load_user(
                request, session, runtime.settings, clock=runtime.clock, scope="write" if changes else "read"
            )
        request.state.user = user
        if user is None:
            raise NotSignedIn
        if not may_sign_in(user):
            raise StaffOnly
        # The check of unsafe methods lets those actions pass.
        if "/action/" in request.url.path and is_cross_site(request.scope):
            raise CrossSiteRequest
        return True

    async def get_user_id(self, request: Request) -> Any:
        """The key of the user's row."""
        return request.state.user.id


class SiteAuthorization(AuthorizationBackend):
    """Answers SQLAdmin's questions from the rights that the views declare. What is not granted is denied."""

    def __init__(self) -> None:
        self._views: dict[str, ModelView] = {}
        self.rights = Rights.merged()

    def setup(self, admin: BaseAdmin) -> None:
        """Nothing: the views come later, through `know`."""

    def know(self, view: ModelView) -> None:
        """Take the rights of one more view into account."""
        self._views[view.identity] = view
        declared: Mapping[str, Grant] | None = getattr(view, "rights", _PLAIN)
        self.rights = Rights.merged(self.rights.table, {view.identity: {SUPERUSER: FULL} | dict(declared or {})})

    async def load(self, request: Request) -> None:
        """Record the user in the sessions of this request."""
        user: User = request.state.user
        current_actor.set(Actor(user, request, self._visible_rows(user)))

    def has_permission(self, request: Request, identity: str, action: str, obj: Any | None = None) -> bool:
        """Return whether the user may do this with some rows; a session shows no others."""
        view = self._views.get(identity)
        user: User | None = getattr(request.state, "user", None)
        if view is None:
            # An app's own page without a table: for every user of the admin. Its `is_accessible` can restrict it.
            return user is not None and may_sign_in(user)
        custom: Mapping[str, permissions.Action] = getattr(view, "action_rights", {})
        wanted = _ACTIONS.get(action) or custom.get(action.removeprefix("action:"), "edit")
        return self.rights.can(user, wanted, identity)

    def _visible_rows(self, user: User) -> Mapping[type, ColumnElement[bool]]:
        # Models of which the user may see all rows are left out.
        conditions: dict[type, ColumnElement[bool]] = {}
        for identity, view in self._views.items():
            grant = self.rights.grant(user, identity)
            if grant is None or "view" not in grant.actions:
                conditions[view.model] = false()
            elif grant.rows is not None:
                conditions[view.model] = grant.rows(user)
        return conditions
