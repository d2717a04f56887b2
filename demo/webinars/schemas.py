"""The requests and answers of the API."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, StringConstraints

from demo.webinars.models import Status
from fastopp.web.forms import NO_NUL, CleanText, EmailText, OptionalEmailText

# A name has to have something to read in it.
_VISIBLE = r"^[^\x00]*[^\x00\s][^\x00]*$"


def _as_utc(value: object) -> object:
    """A browser's datetime-local input sends no zone; the page says that it means UTC."""
    return f"{value}Z" if isinstance(value, str) and len(value) in (16, 19) and "T" in value else value


MAX_NOTES = 5_000  # characters

NotesText = Annotated[CleanText, Field(max_length=MAX_NOTES)]


class NewRegistrant(BaseModel):
    """The form that adds a registrant."""

    name: Annotated[str, StringConstraints(max_length=100, pattern=_VISIBLE)]
    email: EmailText
    company: Annotated[str, StringConstraints(max_length=100, pattern=NO_NUL)] = ""
    webinar_title: Annotated[str, StringConstraints(max_length=200, pattern=_VISIBLE)]
    webinar_date: Annotated[AwareDatetime, BeforeValidator(_as_utc), Field(description="In UTC if it has no zone.")]
    status: Status = "registered"
    assigned_sales_rep: OptionalEmailText = ""
    is_public: Annotated[bool, Field(description="Shown to everyone on the webinar page.")] = False
    notes: NotesText = ""


class RegistrantItem(BaseModel):
    """A registrant as staff see them."""

    id: uuid.UUID
    name: str
    email: str
    company: str | None
    webinar_title: str
    webinar_date: datetime
    status: str
    photo_url: str | None
    notes: str | None
    registration_date: datetime


ITEM = tuple(RegistrantItem.model_fields)


class RegistrantList(BaseModel):
    """One page of registrants; `total` counts those on all pages."""

    registrants: list[RegistrantItem]
    total: int
    estimated: bool | None = Field(None, description="True, or left out: there are too many to count exactly.")
    next_after: uuid.UUID | None = Field(None, description="With `estimated`: the parameter `after` of the next page.")


class AttendeeItem(BaseModel):
    """An attendee as everyone sees them. `email`, `group` and `notes` are null unless staff ask."""

    id: uuid.UUID
    name: str
    email: str | None
    company: str | None
    webinar_title: str
    webinar_date: datetime
    status: str
    group: str | None
    notes: str | None
    photo_url: str | None
    created_at: datetime


HIDDEN: dict[str, Any] = {"email": None, "group": None, "notes": None}
"""The internal fields of an attendee, empty in an answer for visitors."""


class AttendeeList(BaseModel):
    """One page of attendees."""

    attendees: list[AttendeeItem]


def html_fragment(description: str) -> dict[str, Any]:
    """An OpenAPI response that is a piece of HTML."""
    return {"description": description, "content": {"text/html": {"schema": {"type": "string"}}}}


PROBLEM: dict[str, Any] = {
    "content": {"application/problem+json": {"schema": {"type": "object", "additionalProperties": True}}}
}
Responses = dict[int | str, dict[str, Any]]

NEEDS_DATABASE: Responses = {503: {"description": "The database does not answer"} | PROBLEM}
NEEDS_STAFF: Responses = {
    401: {"description": "No user is signed in"} | PROBLEM,
    403: {"description": "The account may not do this"} | PROBLEM,
    **NEEDS_DATABASE,
}
CHANGES_ONE: Responses = {
    200: html_fragment("A message that contains the word “successfully”"),
    404: {"description": "There is no such registrant, or none that the account may see"} | PROBLEM,
    **NEEDS_STAFF,
}
_BAD_FORM: Responses = {400: {"description": "The form cannot be read"} | PROBLEM}
CHANGES_BY_FORM: Responses = {**CHANGES_ONE, **_BAD_FORM}
ADDS: Responses = {
    201: html_fragment("A message that contains the word “successfully”"),
    303: {"description": "To the page, for a browser without scripts"},
    409: {"description": "A person with this email address is registered already"} | PROBLEM,
    **NEEDS_STAFF,
    **_BAD_FORM,
}
PHOTO_REFUSED: Responses = {
    413: {"description": "The picture is over 5 MiB or 40 million pixels"} | PROBLEM,
    415: {"description": "The file is not a JPEG, PNG, WebP or GIF picture"} | PROBLEM,
    422: {
        "description": "The id, the form or the picture is not right",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}},
            **PROBLEM["content"],
        },
    },
    507: {"description": "The storage is full"} | PROBLEM,
}
