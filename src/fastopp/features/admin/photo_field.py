"""The form field of a photo: it shows the photo, takes another one, and can remove it."""

# ruff: noqa: ANN401 - WTForms and SQLAdmin hand over rows of any model
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from sqlalchemy import inspect
from starlette.datastructures import UploadFile
from wtforms import FileField  # type: ignore[import-untyped]  # WTForms has no types
from wtforms.validators import InputRequired  # type: ignore[import-untyped]  # WTForms has no types
from wtforms.widgets import FileInput  # type: ignore[import-untyped]  # WTForms has no types

from fastopp.errors import FastOppError
from fastopp.storage.images import MAX_PHOTO_BYTES, Photo, PhotoTooLarge, process_photo
from fastopp.storage.references import UPLOADS_UNDER

FORM_HEIGHT = 160  # pixels of the photo in a form and on a row's page
LIST_HEIGHT = 40  # pixels of the photo in a list
FORMATS = "image/jpeg,image/png,image/webp,image/gif"
REMOVE = "_checkbox"
"""Behind a field's name: the box that removes its file, as SQLAdmin names it."""

_REMOVE_BOX = Markup(
    '<div class="form-check"><input class="form-check-input" type="checkbox" id="{0}" name="{0}">'
    '<label class="form-check-label" for="{0}">Remove</label></div>'
)


class NoUploads(FastOppError):
    """A photo needs a column that is declared with `uploads_under`."""


class PhotoInput(FileInput):  # type: ignore[misc]  # WTForms has no types
    """The photo, a box that removes it, and the choice of a file."""

    def __call__(self, field: Any, **kwargs: Any) -> Markup:
        """Return the HTML."""
        chosen = super().__call__(field, **kwargs | {"accept": FORMATS})
        if not isinstance(field.data, str) or not field.data:
            return Markup("{}").format(chosen)
        remove = Markup() if field.flags.required else _REMOVE_BOX.format(field.name + REMOVE)
        return Markup('<div class="mb-2">{}{}</div>{}').format(preview(field.data, FORM_HEIGHT), remove, chosen)


class PhotoField(FileField):  # type: ignore[misc]  # WTForms has no types
    """A photo: its URL, or the file that was chosen."""

    widget = PhotoInput()

    def __init__(self, label: str | None = None, validators: Sequence[Any] = (), **kwargs: Any) -> None:
        # The others look at a text.
        needed = [validator for validator in validators if isinstance(validator, InputRequired)]
        super().__init__(label, needed, **kwargs)


def preview(url: str | None, height: int) -> Markup:
    """Return the picture at a URL as HTML."""
    return Markup('<img src="{}" alt="" height="{}" loading="lazy">').format(url, height) if url else Markup()


def require_uploads(model: type, names: Sequence[str]) -> None:
    """Raise NoUploads for a column whose files nothing follows."""
    for name in names:
        if UPLOADS_UNDER not in inspect(model).columns[name].info:
            declared = f'{name}: str | None = Field(default=None, sa_column_kwargs=uploads_under("photos/"))'
            hint = f"Write `{declared}`, with `from fastopp import uploads_under`."
            raise NoUploads(f"{model.__name__}.{name} is not declared with `uploads_under`.", hint=hint)


async def take_photo(sent: Any) -> Photo | None:
    """Return the photo of a form's field, or None if no file was chosen. Raises what `process_photo` raises."""
    if not isinstance(sent, UploadFile):
        return None
    if sent.size is not None and sent.size > MAX_PHOTO_BYTES:
        raise PhotoTooLarge
    data = await sent.read()
    return await process_photo(data) if data else None
