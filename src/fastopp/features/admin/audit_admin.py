"""The record of changes in the admin: readable by superusers, never editable."""

# ruff: noqa: ANN401 - SQLAdmin and SQLAlchemy hand over rows of any model
from __future__ import annotations

import json
from typing import Any, ClassVar

from markupsafe import Markup
from sqladmin.filters import StaticValuesFilter
from starlette.requests import Request

from fastopp.features.accounts.audit import SIGN_IN_ACTIONS
from fastopp.features.accounts.models import AuditLog
from fastopp.features.accounts.permissions import ACCOUNT_RIGHTS, Grant
from fastopp.features.admin.user_admin import UserAdmin
from fastopp.features.admin.views import AdminView, ValuesFilter


def _changes(entry: Any, _: Any) -> Any:
    try:
        text = json.dumps(json.loads(entry.changes or "{}"), indent=2, ensure_ascii=False)
    except ValueError:  # written by another program
        text = entry.changes
    return Markup("<pre>{}</pre>").format(text)


def _user(entry: Any, _: Any, request: Request) -> Markup:
    address = request.url_for("admin:details", identity=UserAdmin.identity, pk=entry.user_id)
    return Markup('<a href="{}">{}</a>').format(address, entry.user_id)


class AuditLogAdmin(AdminView, model=AuditLog):
    """`audit_logs`."""

    name = "Audit Log"
    name_plural = "Audit Logs"
    icon = "fa-solid fa-clock-rotate-left"
    rights: ClassVar[dict[str, Grant]] = dict(ACCOUNT_RIGHTS["audit_logs"])
    can_create = False
    can_edit = False
    can_delete = False
    column_list = ("user_id", "action", "model_name", "record_id", "timestamp")
    column_details_list = (*column_list, "changes", "ip_address", "user_agent")
    column_export_list: ClassVar[list[Any]] = list(column_details_list)
    column_searchable_list = ("action", "model_name", "record_id")
    column_sortable_list = ("action", "model_name", "timestamp")
    column_default_sort = ("timestamp", True)
    column_filters = (
        StaticValuesFilter(
            "action", [(action, action.capitalize()) for action in ("create", "update", "delete", *SIGN_IN_ACTIONS)]
        ),
        ValuesFilter("model_name", title="Model"),
    )
    column_labels: ClassVar[dict[Any, str]] = {
        "user_id": "User",
        "action": "Action",
        "model_name": "Model",
        "record_id": "Record",
        "timestamp": "Time",
        "changes": "Changes",
        "ip_address": "Address",
        "user_agent": "Browser",
    }
    column_formatters: ClassVar[dict[Any, Any]] = {"user_id": _user}
    column_formatters_detail: ClassVar[dict[Any, Any]] = {"user_id": _user, "changes": _changes}
