"""Registrants in the admin panel."""

from __future__ import annotations

from contextlib import suppress

from starlette.requests import Request

from demo.webinars.models import WebinarRegistrant
from demo.webinars.permissions import RIGHTS, TABLE
from fastopp.admin.views import AdminView, ValuesFilter
from fastopp.dependencies import get_runtime
from fastopp.errors import FastOppError
from fastopp.storage import deadlines
from fastopp.storage.addresses import key_at


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
    # Photos come and go on the registrants' page, which keeps the file and the row together.
    form_excluded_columns = ("photo_url", "registration_date", "created_at", "updated_at")

    async def after_model_delete(self, model: WebinarRegistrant, request: Request) -> None:
        """The row is gone; now its photo goes."""
        storage = get_runtime(request).storage
        key = key_at(storage, model.photo_url)
        if key is None:
            return
        with suppress(FastOppError):  # nothing can be undone any more; the file is an orphan, which a sweep finds
            async with deadlines.within(deadlines.REMOVAL):
                await storage.delete(key)


# SQLAdmin would say `webinar-registrant`; FastOpp's links and bookmarks have the plural.
WebinarRegistrantAdmin.identity = "webinar-registrants"
