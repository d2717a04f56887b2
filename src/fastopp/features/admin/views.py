"""`AdminView`: what an app's admin.py subclasses.

    class ProductAdmin(AdminView, model=Product):
        rights = {"superuser": FULL, "staff": Grant.of("view", "edit")}
        column_list = ("name", "price", "in_stock")
        column_filters = (BooleanFilter("in_stock"),)

Everything of SQLAdmin's ModelView works as its documentation says.
"""

# ruff: noqa: ANN401 - SQLAdmin and SQLAlchemy hand over rows of any model
from __future__ import annotations

import builtins
import json
import math
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from markupsafe import Markup
from pydantic_core import PydanticUndefined
from sqladmin.authorization import Action
from sqladmin.fields import IntervalField
from sqladmin.formatters import BASE_FORMATTERS
from sqladmin.forms import ModelConverter, converts
from sqladmin.helpers import Writer, get_object_identifier, secure_filename, stream_to_csv
from sqladmin.models import ModelView
from sqladmin.pagination import Pagination
from sqlalchemy import JSON, Select, inspect
from sqlalchemy.orm import RelationshipDirection
from starlette import status
from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse
from wtforms import FloatField, Form, ValidationError  # type: ignore[import-untyped]  # WTForms has no types

from fastopp.core.dependencies import get_runtime
from fastopp.errors import FastOppError, NotFound
from fastopp.features.accounts.permissions import Action as Right
from fastopp.features.accounts.permissions import Grant
from fastopp.features.admin.csv_cells import csv_cell
from fastopp.features.admin.filters import ValuesFilter as ValuesFilter
from fastopp.features.admin.long_lists import list_page
from fastopp.features.admin.photo_field import (
    FORM_HEIGHT,
    LIST_HEIGHT,
    REMOVE,
    PhotoField,
    preview,
    require_uploads,
    take_photo,
)
from fastopp.storage.photos import store_for_row

BYTE_ORDER_MARK = "\ufeff"
"""Without it, a spreadsheet on Windows reads UTF-8 as another encoding."""


class InvalidField(FastOppError):
    """A form field has an invalid value."""

    status = 422

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


def format_time(moment: datetime) -> Markup:
    """A moment as people read it, in UTC, in a `<time>` that machines can read."""
    moment = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), f"{moment:%d %b %Y, %H:%M} UTC")


def plural(noun: str) -> str:
    """Return the plural of an English noun, without the irregular ones."""
    if re.search("(?:s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    return re.sub("(?<![aeiouAEIOU])y$", "ie", noun) + "s"


class BoundedIntervalField(IntervalField):
    """An interval that is not longer than Python's."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Take what was typed. Raises ValueError, which is shown beside the field."""
        try:
            super().process_formdata(valuelist)
        except OverflowError:
            raise ValueError("This interval is too long.") from None


class FormConverter(ModelConverter):
    """SQLAdmin's choice of form fields, and one for Float, which is no Numeric any more since SQLAlchemy 2.1."""

    @converts("Interval")  # type: ignore[untyped-decorator]  # as below
    def conv_interval(self, model: type, prop: Any, kwargs: dict[str, Any]) -> Any:
        """An interval, or a message beside the field."""
        kwargs["render_kw"]["placeholder"] = "Like: 1 day 1:25:33.652"
        return BoundedIntervalField(**kwargs)

    @converts("Enum")  # type: ignore[untyped-decorator]  # as below
    def conv_enum(self, model: type, prop: Any, kwargs: dict[str, Any]) -> Any:
        """One of the members; blanks alone are none of them."""
        return super().conv_enum(model, prop, kwargs | {"filters": [*kwargs.get("filters", ()), _without_blanks]})

    @converts("Float")  # type: ignore[untyped-decorator]  # SQLAdmin gives it no types
    def conv_float(self, model: type, prop: Any, kwargs: dict[str, Any]) -> Any:
        """A number that is one: neither infinite nor NaN, which databases refuse or take for nothing."""
        return FloatField(**kwargs | {"validators": [*kwargs["validators"], _finite]})


def _photo(height: int, row: Any, name: str) -> Markup:
    return preview(getattr(row, name), height)


def _without_blanks(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _finite(form: Form, field: FloatField) -> None:
    if field.data is not None and not math.isfinite(field.data):
        raise ValidationError("This is not a number.")


class AdminView(ModelView):
    """A table in the admin, with permissions, an audit log, readable times and safe exports."""

    rights: ClassVar[Mapping[str, Grant]] = {}
    """The permissions of each role: a group's name, or `staff` for all other staff. Superusers may do everything unless
    `superuser` is named too. What is not granted is denied: without any, only superusers get in."""

    action_rights: ClassVar[Mapping[str, Right]] = {}
    """The right that each custom `@action` needs, by its slug; `edit` when it is not named."""

    photo_columns: ClassVar[Sequence[str]] = ()
    """Columns of `uploads_under` with URLs of photos: shown, and uploaded, replaced and removed in forms."""

    icon = "fa-solid fa-table"
    form_converter = FormConverter
    page_size = 25
    page_size_options: ClassVar[Sequence[int]] = (10, 25, 50, 100)
    column_type_formatters: ClassVar[dict[type, Any]] = BASE_FORMATTERS | {datetime: format_time}

    def __init__(self) -> None:
        # A new record's form starts with the model's own defaults.
        defaults = {
            name: {"default": field.default}
            for name, field in getattr(self.model, "model_fields", {}).items()
            if field.default is not PydanticUndefined and field.default is not None
        }
        self.form_args = {  # type: ignore[misc]  # SQLAdmin reads it from the instance; the class's stays as declared
            name: defaults.get(name, {}) | self.form_args.get(name, {})
            for name in defaults.keys() | self.form_args.keys()
        }
        names: list[str] = list(inspect(self.model).attrs.keys())
        words = {name: name.replace("_", " ").capitalize() for name in names}
        given = {label if isinstance(label, str) else label.key: text for label, text in self.column_labels.items()}
        self.column_labels = words | given  # type: ignore[assignment,misc]  # as above
        self._show_photos()
        if self.name_plural == f"{self.name}s":  # SQLAdmin's own plural
            self.name_plural = plural(self.name)  # type: ignore[misc]  # as above
        keys: Any = inspect(self.model).primary_key
        if any(map(_is_given, keys)):
            self.form_include_pk = True  # type: ignore[misc]  # as above
        super().__init__()

    def _show_photos(self) -> None:
        require_uploads(self.model, self.photo_columns)
        for attribute, height in (("column_formatters", LIST_HEIGHT), ("column_formatters_detail", FORM_HEIGHT)):
            shown = {name: partial(_photo, height) for name in self.photo_columns}
            setattr(self, attribute, shown | getattr(self, attribute))
        self.form_overrides = dict.fromkeys(self.photo_columns, PhotoField) | self.form_overrides  # type: ignore[misc]

    async def list(self, request: Request) -> Pagination:
        """A page of the list, at a cost that does not grow with the table."""
        return await list_page(self, request)

    def get_form_columns(self) -> builtins.list[str]:
        """The fields of the form. A relation stands for its foreign key, whose own field would clear it."""
        names = super().get_form_columns()
        if self.form_columns:
            return names
        mapper: Any = inspect(self.model)
        chosen = [mapper.relationships[name] for name in names if name in mapper.relationships]
        keys = {
            mapper.get_property_by_column(column).key
            for relation in chosen
            if relation.direction is RelationshipDirection.MANYTOONE
            for column in relation.local_columns
        }
        return [name for name in names if name not in keys]

    def _build_url_for(self, name: str, request: Request, obj: Any) -> URL:
        key = quote(str(get_object_identifier(obj)), safe="/;")
        return request.url_for(name, identity=self._identity_for_object(obj), pk=key)

    def _stmt_by_identifier(self, identifier: str) -> Select[Any]:
        try:
            return super()._stmt_by_identifier(identifier)
        except (ValueError, TypeError, ArithmeticError):
            raise HTTPException(status.HTTP_404_NOT_FOUND) from None

    async def check_can_view_details(self, request: Request, model: Any) -> bool:
        """Return whether this row may be looked at. Raises NotFound for a row that the user cannot see."""
        return await super().check_can_view_details(request, self._found(request, model, Action.DETAILS))

    async def check_can_edit(self, request: Request, model: Any) -> bool:
        """Return whether this row may be changed. Raises NotFound for a row that the user cannot see."""
        return await super().check_can_edit(request, self._found(request, model, Action.EDIT))

    async def check_can_delete(self, request: Request, model: Any) -> bool:
        """Return whether this row may be deleted. Raises NotFound for a row that the user cannot see."""
        return await super().check_can_delete(request, self._found(request, model, Action.DELETE))

    def _found(self, request: Request, model: Any, action: Action) -> Any:
        # A user without permission for any row gets 403, and does not learn which rows exist.
        if model is None and self.has_permission(request, action):
            raise NotFound
        return model

    async def insert_model(self, request: Request, data: dict[str, Any]) -> Any:
        """Keep a new row. Raises InvalidField, StillInUse, AlreadyThere, DoesNotFit."""
        try:
            return await super().insert_model(request, await self._with_photos(request, data))
        except InvalidField as error:
            request.state.invalid_field = error
            raise

    async def update_model(self, request: Request, pk: str, data: dict[str, Any]) -> Any:
        """Keep the changes of a row. Raises InvalidField, StillInUse, AlreadyThere, DoesNotFit."""
        try:
            return await super().update_model(request, pk, await self._with_photos(request, data))
        except InvalidField as error:
            request.state.invalid_field = error
            raise

    async def _with_photos(self, request: Request, data: dict[str, Any]) -> dict[str, Any]:
        """Store the photos of a form, before the session that writes the row begins. Raises InvalidField."""
        runtime, form = get_runtime(request), await request.form()
        urls: dict[str, str | None] = {}
        for name in data.keys() & set(self.photo_columns):
            if form.get(name + REMOVE):
                urls[name] = None
                continue
            try:
                if photo := await take_photo(data[name]):
                    database = runtime.database
                    urls[name] = await store_for_row(database.engine, runtime.storage, photo, clock=runtime.clock)
            except FastOppError as error:
                raise InvalidField(name, str(error)) from None
        return {name: value for name, value in data.items() if name not in self.photo_columns} | urls

    async def export_data(
        self, data: builtins.list[Any], export_type: str = "csv", request: Request | None = None
    ) -> StreamingResponse:
        """The rows as a file. CSV: times with their zone, JSON, related rows' texts, no formulas."""
        if export_type != "csv" or self.use_pretty_export:
            return await super().export_data(data, export_type, request)

        names = self.get_export_columns()

        async def lines(writer: Writer) -> AsyncGenerator[Any, None]:
            yield BYTE_ORDER_MARK
            yield writer.writerow(names)
            for row in data:
                yield writer.writerow([csv_cell(await self._exported(row, name)) for name in names])

        name = secure_filename(self.get_export_name("csv"))
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(stream_to_csv(lines), media_type="text/csv; charset=utf-8", headers=headers)

    async def _exported(self, row: Any, name: str) -> Any:
        value = await self.get_prop_value(row, name)
        mapper: Any = inspect(self.model)
        if name in mapper.relationships and mapper.relationships[name].uselist:
            return ", ".join(map(str, value))
        if value is not None and name in mapper.columns and isinstance(mapper.columns[name].type, JSON):
            return json.dumps(value, ensure_ascii=False)
        return value


def _is_given(column: Any) -> bool:
    """Return whether a person has to give a new row this part of its key."""
    made = column.default is not None or column.server_default is not None or column.identity is not None
    return not made and column is not column.table.autoincrement_column
