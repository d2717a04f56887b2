"""Accounts in the admin: for superusers, with passwords that are typed and hashed but never shown."""

# ruff: noqa: ANN401 - SQLAdmin and SQLAlchemy hand over rows of any model
from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from sqladmin.filters import BooleanFilter
from sqlalchemy.ext.asyncio import AsyncSession, async_object_session
from sqlmodel import col, select
from starlette.requests import Request
from wtforms import Form, PasswordField  # type: ignore[import-untyped]  # WTForms has no types
from wtforms.validators import InputRequired  # type: ignore[import-untyped]  # WTForms has no types
from wtforms.widgets import PasswordInput  # type: ignore[import-untyped]  # WTForms has no types

from fastopp.core.dependencies import get_runtime
from fastopp.errors import Conflict
from fastopp.features.account.deletion import AccountStillUsed, delete_account
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.management import UserMissing
from fastopp.features.accounts.models import DELETED_DOMAIN, User
from fastopp.features.accounts.password_policy import hash_new_password
from fastopp.features.accounts.passwords import PasswordRejected
from fastopp.features.accounts.permissions import ACCOUNT_RIGHTS, Grant
from fastopp.features.accounts.service import EmailTaken, InvalidEmail, check_email, find_user
from fastopp.features.admin.views import AdminView, InvalidField, ValuesFilter

_FIELDS = ("email", "name", "group", "is_active", "is_staff", "is_superuser", "time_zone", "language")


class LastSuperuser(Conflict):
    """This is the last active superuser. Without a superuser, accounts cannot be managed."""

    hint = "Make another account a superuser first."


class AccountInUse(Conflict):
    """Records refer to this account, so it cannot be deleted."""

    hint = "Deactivate it instead: edit it and clear `Active`."


class AlreadyDeleted(Conflict):
    """This account is deleted already. Only the record of what it changed is left."""

    hint = "It goes with the last of its records, after AUDIT_KEEP_DAYS."


class OwnAccount(Conflict):
    """This is the account that you are signed in with, so it cannot be deleted here."""


class UserAdmin(AdminView, model=User):
    """`users`."""

    name = "User"
    icon = "fa-solid fa-user"
    rights: ClassVar[dict[str, Grant]] = dict(ACCOUNT_RIGHTS["users"])
    column_list = ("email", "name", "is_active", "is_superuser", "is_staff", "group")
    column_details_list = ("id", *column_list, "email_unconfirmed_since", "time_zone", "language")
    column_export_list: ClassVar[list[Any]] = list(column_list)
    column_searchable_list = ("email", "name")
    column_sortable_list = column_list
    column_default_sort = "email"
    column_filters = (
        BooleanFilter("is_active", title="Active"),
        BooleanFilter("is_superuser", title="Superuser"),
        BooleanFilter("is_staff", title="Staff"),
        ValuesFilter("group", title="Group"),
    )
    column_labels: ClassVar[dict[Any, str]] = {
        "id": "Id",
        "email": "Email",
        "is_active": "Active",
        "is_superuser": "Superuser",
        "is_staff": "Staff",
        "group": "Group",
        "name": "Name",
        "email_unconfirmed_since": "Email unconfirmed since",
        "time_zone": "Time zone",
        "language": "Language",
    }
    form_columns = _FIELDS
    form_create_rules: ClassVar[list[str]] = [*_FIELDS, "password"]
    form_edit_rules: ClassVar[list[str]] = [*_FIELDS, "new_password"]

    async def scaffold_form(self, rules: Sequence[str] | None = None) -> type[Form]:
        """The form of the model with a field for a password: wanted of a new account, optional later."""
        rules = list(rules or self.form_edit_rules)
        form = await super().scaffold_form(rules)
        if "password" in rules:
            form.password = _password_field("Password", validators=[InputRequired()])
        if "new_password" in rules:
            form.new_password = _password_field("New password", description="Leave it empty to keep the current one.")
        return form

    async def insert_model(self, request: Request, data: dict[str, Any]) -> Any:
        """Add an account. Raises InvalidField."""
        return await super().insert_model(request, await self._checked(request, data, None))

    async def update_model(self, request: Request, pk: str, data: dict[str, Any]) -> Any:
        """Change an account. Raises InvalidField, LastSuperuser."""
        return await super().update_model(request, pk, await self._checked(request, data, uuid.UUID(pk)))

    async def on_model_change(self, data: dict[str, Any], model: User, is_created: bool, request: Request) -> None:  # noqa: FBT001 - SQLAdmin's
        """Raises LastSuperuser."""
        if not is_created and not (data.get("is_active") and data.get("is_superuser")):
            await _keep_a_superuser(model)

    async def on_model_delete(self, model: User, request: Request) -> None:
        """Raises OwnAccount, AlreadyDeleted."""
        if model.id == request.state.user.id:
            raise OwnAccount
        if model.email.endswith(f"@{DELETED_DOMAIN}"):
            raise AlreadyDeleted

    async def delete_model(self, request: Request, pk: Any) -> None:
        """Delete an account as its user could, with what belongs to it in the apps.

        Not in a session of the admin, which would record each row of it as a change by the superuser.
        Raises OwnAccount, AlreadyDeleted, LastSuperuser, AccountInUse, UserMissing.
        """
        runtime, client = get_runtime(request), client_of(request)
        async with runtime.database.transaction() as session:
            user = await session.get(User, uuid.UUID(pk))
            if user is None:
                raise UserMissing
            await self.on_model_delete(user, request)
            try:
                user = await delete_account(session, user.id, runtime.apps, client)
            except AccountStillUsed as error:
                raise AccountInUse(str(error.message)) from None
            await audit.record(session, request.state.user, "delete", "User", user.id, client=client)
        await self.after_model_delete(user, request)

    async def _checked(self, request: Request, data: dict[str, Any], own_id: uuid.UUID | None) -> dict[str, Any]:
        # Before any transaction, so that no connection waits for the hash.
        own = {*map(_key, self.form_columns)} - {"id", "hashed_password"}
        checked = {name: data.get(name) for name in (*_FIELDS, *own)}
        try:
            email = checked["email"] = check_email(data.get("email") or "")
        except InvalidEmail as error:
            raise self._invalid(request, "email", str(error)) from None
        async with self.session_maker() as session:
            known = await find_user(session, email)
        if known is not None and known.id != own_id:
            raise self._invalid(request, "email", EmailTaken().message)
        field = "password" if own_id is None else "new_password"
        if typed := data.get(field):
            try:
                checked["hashed_password"] = await hash_new_password(typed, email, data.get("name"))
            except PasswordRejected as error:
                raise self._invalid(request, field, error.message) from None
        return checked

    def _invalid(self, request: Request, field: str, message: str) -> InvalidField:
        error = request.state.invalid_field = InvalidField(field, message)
        return error


def _key(column: Any) -> str:
    key: str = getattr(column, "key", column)
    return key


def _password_field(label: str, **options: Any) -> Any:
    attributes = {"class": "form-control", "autocomplete": "new-password"}
    return PasswordField(label, widget=PasswordInput(hide_value=True), render_kw=attributes, **options)


def _session_of(user: User) -> AsyncSession:
    session = async_object_session(user)
    assert session is not None  # noqa: S101 - SQLAdmin has just loaded the user with it
    return session


async def _keep_a_superuser(user: User) -> None:
    """Raise LastSuperuser if no other active superuser is there.

    The rows are locked, so that two superusers cannot demote each other at the same moment.
    """
    if not (user.is_active and user.is_superuser):
        return
    session = _session_of(user)
    active = col(User.is_active).is_(other=True), col(User.is_superuser).is_(other=True)
    rows = await session.scalars(select(User.id).where(*active).order_by(col(User.id)).with_for_update())
    if set(rows) <= {user.id}:
        raise LastSuperuser
