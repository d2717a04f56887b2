"""Registrants in the admin panel."""

from __future__ import annotations

from demo.webinars.models import WebinarRegistrant
from demo.webinars.permissions import RIGHTS, TABLE
from fastopp.features.admin.views import AdminView, ValuesFilter


class WebinarRegistrantAdmin(AdminView, model=WebinarRegistrant):
    """Marketing may do everything, sales edit those assigned to them."""

    name = "Webinar Registrant"
    name_plural = "Webinar Registrants"
    icon = "fa-solid fa-video"
    rights = RIGHTS[TABLE]
    column_list = ("name", "email", "company", "webinar_title", "webinar_date", "status", "group", "notes")
    column_searchable_list = ("name", "email", "company", "webinar_title", "notes")
    column_sortable_list = ("name", "email", "company", "webinar_title", "webinar_date", "status", "group")
    column_default_sort = ("webinar_date", True)
    column_filters = (ValuesFilter("status"), ValuesFilter("group"), ValuesFilter("webinar_title", title="Webinar"))
    photo_columns = ("photo_url",)
    form_excluded_columns = ("registration_date", "created_at", "updated_at")


# SQLAdmin would say `webinar-registrant`; FastOpp's links and bookmarks have the plural.
WebinarRegistrantAdmin.identity = "webinar-registrants"
