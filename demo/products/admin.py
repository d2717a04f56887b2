"""Products in the admin panel."""

from __future__ import annotations

from typing import Any, ClassVar

from sqladmin.filters import BooleanFilter

from demo.products.models import Product
from demo.products.permissions import RIGHTS, TABLE
from fastopp.features.admin.views import AdminView, ValuesFilter


class ProductAdmin(AdminView, model=Product):
    """Staff edit, superusers create and delete."""

    icon = "fa-solid fa-box"
    rights = RIGHTS[TABLE]
    column_list = ("name", "price", "category", "in_stock", "created_at")
    column_searchable_list = ("name", "description", "category")
    column_sortable_list = ("name", "price", "category", "in_stock", "created_at")
    column_default_sort = "name"
    column_filters = (ValuesFilter("category"), BooleanFilter("in_stock"))
    form_excluded_columns = ("created_at", "updated_at")
    column_formatters: ClassVar[dict[Any, Any]] = {"price": lambda product, _: f"${product.price:,.2f}"}
