"""Products in the admin."""

from __future__ import annotations

from typing import Any, ClassVar

from sqladmin.filters import BooleanFilter
from wtforms.validators import NumberRange  # type: ignore[import-untyped]  # WTForms has no types

from demo.products.models import Product
from fastopp.admin.views import AdminView, ValuesFilter
from fastopp.auth.permissions import FULL, STAFF, SUPERUSER, Grant

MAX_PRICE = 1_000_000_000


class ProductAdmin(AdminView, model=Product):
    """`products`: all staff keep them up to date, superusers decide which there are."""

    rights: ClassVar[dict[str, Grant]] = {SUPERUSER: FULL, STAFF: Grant.of("view", "edit")}
    icon = "fa-solid fa-box"
    column_list = ("name", "price", "category", "in_stock", "created_at")
    column_details_list = ("name", "description", "price", "category", "in_stock", "created_at", "updated_at", "id")
    column_export_list: ClassVar[list[Any]] = list(column_details_list)
    column_searchable_list = ("name", "description", "category")
    column_sortable_list = column_list
    column_default_sort = "name"
    column_filters = (ValuesFilter("category"), BooleanFilter("in_stock", title="In stock"))
    column_labels: ClassVar[dict[Any, str]] = {
        "id": "Id",
        "name": "Name",
        "description": "Description",
        "price": "Price",
        "category": "Category",
        "in_stock": "In stock",
        "created_at": "Created",
        "updated_at": "Updated",
    }
    column_formatters: ClassVar[dict[Any, Any]] = {"price": lambda product, _: f"${product.price:,.2f}"}
    form_columns = ("name", "description", "price", "category", "in_stock")
    form_args: ClassVar[dict[str, dict[str, Any]]] = {"price": {"validators": [NumberRange(min=0, max=MAX_PRICE)]}}
