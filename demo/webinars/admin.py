"""Registrants in the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sqladmin.fields import SelectField
from sqladmin.filters import BooleanFilter, StaticValuesFilter
from wtforms.validators import Email, InputRequired, Length  # type: ignore[import-untyped]  # WTForms has no types

from demo.webinars.models import WebinarRegistrant
from demo.webinars.permissions import RIGHTS, TABLE
from fastopp.admin.views import AdminView, ValuesFilter
from fastopp.auth.permissions import Grant

STATUSES = (
    ("registered", "Registered"),
    ("confirmed", "Confirmed"),
    ("attended", "Attended"),
    ("cancelled", "Cancelled"),
    ("no_show", "No show"),
)


class WebinarRegistrantAdmin(AdminView, model=WebinarRegistrant):
    """`webinar_registrants`: marketing keeps them all, sales those that are assigned to them."""

    identity = "webinar-registrants"
    name = "Webinar registrant"
    rights: ClassVar[Mapping[str, Grant]] = RIGHTS[TABLE]
    icon = "fa-solid fa-users"
    column_list = ("name", "email", "company", "webinar_title", "webinar_date", "status", "group", "notes")
    column_details_exclude_list = ("id",)
    column_export_list: ClassVar[list[Any]] = [*column_list, "assigned_sales_rep", "is_public", "registration_date"]
    column_searchable_list = ("name", "email", "company", "webinar_title", "notes")
    column_sortable_list = ("name", "email", "company", "webinar_title", "webinar_date", "status", "group")
    column_default_sort = "name"
    column_filters = (
        StaticValuesFilter("status", list(STATUSES)),
        ValuesFilter("group"),
        ValuesFilter("webinar_title", title="Webinar"),
        BooleanFilter("is_public", title="Public"),
    )
    column_labels: ClassVar[dict[Any, str]] = {
        "name": "Name",
        "email": "Email",
        "company": "Company",
        "webinar_title": "Webinar",
        "webinar_date": "Date",
        "registration_date": "Registered",
        "status": "Status",
        "assigned_sales_rep": "Sales representative",
        "group": "Group",
        "is_public": "Public",
        "notes": "Notes",
        "photo_url": "Photo",
        "created_at": "Created",
        "updated_at": "Updated",
    }
    form_columns = (
        "name",
        "email",
        "company",
        "webinar_title",
        "webinar_date",
        "status",
        "assigned_sales_rep",
        "group",
        "is_public",
        "notes",
    )
    form_overrides: ClassVar[dict[str, Any]] = {"status": SelectField}
    form_args: ClassVar[dict[str, dict[str, Any]]] = {
        "email": {"validators": [InputRequired(), Email(), Length(max=254)]},
        "status": {"choices": list(STATUSES)},
    }
