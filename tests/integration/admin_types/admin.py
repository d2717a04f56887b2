"""Admin views of them."""

from __future__ import annotations

from admin_types.models import Book, Every, Shelf, Tag
from fastopp.features.admin.views import AdminView


class ShelfAdmin(AdminView, model=Shelf):
    form_include_pk = True
    column_list = ("code",)


class TagAdmin(AdminView, model=Tag):
    form_include_pk = True


class BookAdmin(AdminView, model=Book):
    form_include_pk = True
    column_list = ("isbn", "shelf", "tags", "extra")
    column_export_list = ("isbn", "shelf", "tags", "extra")


class EveryAdmin(AdminView, model=Every):
    column_list = ("id",)
    form_excluded_columns = ("binary",)
