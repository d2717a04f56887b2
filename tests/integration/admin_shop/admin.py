"""Admin views as app authors write them, and as those of FastOpp 0.4.8 were."""

# ruff: noqa: RUF012 - as app authors write them
from __future__ import annotations

from typing import Any

from sqladmin import BaseView, ModelView, action, expose
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from admin_shop.models import Customer, Note, Order
from fastopp.features.accounts.models import User
from fastopp.features.accounts.permissions import FULL, Grant
from fastopp.features.admin.views import AdminView


class CustomerAdmin(AdminView, model=Customer):
    rights = {
        "sales": FULL,
        "marketing": Grant.of("view", rows=lambda user: Customer.name != "Secret"),
    }
    column_list = ["name"]


class OrderAdmin(AdminView, model=Order):
    rights = {
        "sales": Grant.of("view", "create", "edit"),
        "marketing": FULL,
        "support": FULL,
        "staff": Grant.of("view"),
    }
    action_rights = {"burn": "delete"}
    column_list = ["id", "customer", "shipped"]
    form_ajax_refs = {"customer": {"fields": ("name",), "order_by": "name"}}

    @action("ship")
    async def ship(self, request: Request) -> Response:
        async with self.session_maker() as session:
            for key in request.query_params["pks"].split(","):
                (await session.get_one(Order, int(key))).shipped = True
            await session.commit()
        return RedirectResponse(request.url_for("admin:list", identity=self.identity))

    @action("burn")
    async def burn(self, request: Request) -> Response:
        return Response("burnt")


class NoteAdmin(ModelView, model=Note):
    column_list = ["text"]

    def can_create(self, request: Any) -> bool:  # had no effect in FastOpp 0.4.8
        return True


class EveryHash(ModelView, model=User):
    column_list = "__all__"


class Report(BaseView):
    name = "Report"

    @expose("/report", methods=["GET"])
    async def report(self, request: Request) -> Response:
        return Response("the report")
