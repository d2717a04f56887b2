"""The registrants' page for staff: what it shows, and what it changes.

The paths of 0.4.8 stay where they were; an answer to a successful change contains the word `successfully`.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from demo.webinars import repository, service
from demo.webinars.models import Status, WebinarRegistrant
from demo.webinars.permissions import PAGE_RIGHTS, TABLE
from demo.webinars.repository import MAX_PER_PAGE, RegistrantFilter
from demo.webinars.schemas import (
    ADDS,
    CHANGES_BY_FORM,
    CHANGES_ONE,
    ITEM,
    MAX_NOTES,
    NEEDS_STAFF,
    PHOTO_REFUSED,
    NewRegistrant,
    NotesText,
    RegistrantList,
)
from demo.webinars.service import Actor
from fastopp.core.dependencies import RuntimeDep, SessionDep, StorageDep, TasksDep
from fastopp.database.keyset import NUMBERED_UP_TO
from fastopp.features.accounts.current_user import StaffUser, SuperUser
from fastopp.features.accounts.detached import DetachedSuperUser
from fastopp.features.accounts.models import User
from fastopp.storage.images import MAX_PHOTO_BYTES, PhotoTooLarge
from fastopp.tasks.errors import AlreadyQueued
from fastopp.web.middleware.disconnect import while_connected
from fastopp.web.paging import steps
from fastopp.web.templating import render

router = APIRouter(tags=["webinars"])

PAGE = "/webinar-registrants"
ROWS = 12  # of the page's list


async def actor(request: Request, user: StaffUser) -> Actor:
    """Dependency: the member of staff who changes something."""
    return Actor(user, request)


ActorDep = Annotated[Actor, Depends(actor)]


async def notes_field(request: Request) -> str:
    """Dependency: the notes of the form. They may be empty but not absent, or a slip would delete them.

    FastAPI takes an empty field for an absent one, so the form is read here.
    """
    try:
        return _NotesForm.model_validate(dict(await request.form())).notes
    except ValidationError as error:
        mistakes = [mistake | {"loc": ("body", *mistake["loc"])} for mistake in error.errors(include_url=False)]
        raise RequestValidationError(mistakes) from None


class _NotesForm(BaseModel):
    notes: NotesText


_NOTES_BODY = {
    "required": True,
    "content": {"application/x-www-form-urlencoded": {"schema": _NotesForm.model_json_schema()}},
}


async def photo_bytes(photo: Annotated[UploadFile, File(description="JPEG, PNG, WebP or GIF, up to 5 MiB.")]) -> bytes:
    """Dependency: the photo of the form. Raises PhotoTooLarge before reading it into memory."""
    if photo.size is not None and photo.size > MAX_PHOTO_BYTES:
        allowed = MAX_PHOTO_BYTES // 2**20
        raise PhotoTooLarge(f"The picture has {photo.size / 2**20:.1f} MiB; {allowed} are allowed.")
    return await photo.read()


@router.get(
    "/api/registrants",
    summary="Registrants, for staff",
    response_class=Response,
    responses={200: {"model": RegistrantList}, **NEEDS_STAFF},
)
async def list_registrants(
    wanted: Annotated[RegistrantFilter, Query()],
    session: SessionDep,
    user: StaffUser,
    per_page: Annotated[int, Query(ge=1, le=MAX_PER_PAGE)] = MAX_PER_PAGE,
) -> Response:
    """Those whom the account may see: all for marketing and superusers, the assigned for sales, else the public."""
    found = await repository.list_columns(session, user, wanted, per_page=per_page)
    _, matching = await repository.count(session, user, wanted)
    items = [{name: registrant[name] for name in ITEM} for registrant in found]
    answer: dict[str, Any] = {"registrants": items, "total": matching.rows}
    if not matching.is_exact:
        answer |= {"estimated": True, "next_after": found[-1]["id"] if len(found) == per_page else None}
    return Response(to_json(answer), media_type="application/json")


@router.get(PAGE, include_in_schema=False)
async def registrants_page(
    request: Request, wanted: Annotated[RegistrantFilter, Query()], session: SessionDep, user: StaffUser
) -> Response:
    """The list, or for htmx its rows alone."""
    total, matching = await repository.count(session, user, wanted)
    found = await repository.list_page(session, user, wanted, per_page=ROWS)
    context = _rights(user) | {
        "registrants": found,
        "wanted": wanted,
        "total": total.rows,
        "matching": matching,
        "pages": max(1, -(-min(matching.rows, matching.rows if matching.is_exact else NUMBERED_UP_TO) // ROWS)),
        "steps": None if matching.is_exact else steps(wanted.page, ROWS, [registrant.id for registrant in found]),
        "address": PAGE + wanted.as_query(),
    }
    headers = {"Vary": "HX-Request, HX-Target"}
    if request.headers.get("hx-target") == "registrants":
        headers["HX-Push-Url"] = context["address"]
        return render(request, "webinars/list.html", context, headers=headers)
    return render(request, "webinars/registrants.html", context, headers=headers)


@router.post(PAGE + "/sample-data", include_in_schema=False)
async def add_sample_data(runtime: RuntimeDep, user: DetachedSuperUser) -> Response:
    """Add the sample registrants and go back to the list; what an empty list offers to superusers."""
    from fastopp.features.setup.seeding import run_step  # noqa: PLC0415 - brings in what an initialisation needs

    for step in ("webinars", "registrants"):
        await run_step(runtime, step)
    return RedirectResponse(PAGE, status_code=303)


@router.post(PAGE + "/check-photos", include_in_schema=False)
async def check_photos(tasks: TasksDep, user: SuperUser) -> Response:
    """Queue the task that looks whether every photo is still there, and go where one can watch it."""
    try:
        task_id = (await tasks.queue("webinars.check_photos")).id
    except AlreadyQueued as waiting:
        if waiting.task_id is None:
            raise
        task_id = waiting.task_id
    return RedirectResponse(f"/oppman/tasks/{task_id}", status_code=303)


@router.get(PAGE + "/new", include_in_schema=False)
async def new_dialog(request: Request, user: StaffUser) -> Response:
    """The form that adds a registrant."""
    if not PAGE_RIGHTS.can(user, "create", TABLE):
        raise service.MayNotAdd
    return render(request, "webinars/new.html", {"statuses": get_args(Status)})


@router.get(PAGE + "/{registrant_id}/photo", include_in_schema=False)
async def photo_dialog(request: Request, registrant_id: uuid.UUID, session: SessionDep, user: StaffUser) -> Response:
    """The form that sends a photo."""
    registrant = await service.get(session, user, registrant_id, "edit")
    return render(request, "webinars/photo.html", {"registrant": registrant, "max_bytes": MAX_PHOTO_BYTES})


@router.get(PAGE + "/{registrant_id}/notes", include_in_schema=False)
async def notes_dialog(request: Request, registrant_id: uuid.UUID, session: SessionDep, user: StaffUser) -> Response:
    """The form that edits the notes."""
    registrant = await service.get(session, user, registrant_id, "edit")
    return render(request, "webinars/notes.html", {"registrant": registrant, "max_notes": MAX_NOTES})


@router.post(
    PAGE,
    summary="Add a registrant",
    status_code=201,
    response_class=Response,
    responses=ADDS,
)
async def add_registrant(
    request: Request, new: Annotated[NewRegistrant, Form()], session: SessionDep, by: ActorDep
) -> Response:
    """For marketing and superusers."""
    registrant = await service.add(session, by, new)
    if "text/html" in request.headers.get("accept", "") and "hx-request" not in request.headers:
        return RedirectResponse(PAGE, status_code=303)
    return _changed(request, f"{registrant.name} was added successfully.", status_code=201)


@router.delete(PAGE + "/{registrant_id}", summary="Delete a registrant", response_class=Response, responses=CHANGES_ONE)
async def delete_registrant(
    request: Request, registrant_id: uuid.UUID, session: SessionDep, storage: StorageDep, by: ActorDep
) -> Response:
    """For marketing and superusers. The photo goes too."""
    registrant = await service.delete(session, storage, by, registrant_id)
    return _changed(request, f"{registrant.name} was deleted successfully.")


@router.post(
    PAGE + "/{registrant_id}/status", summary="Change the status", response_class=Response, responses=CHANGES_BY_FORM
)
async def change_status(
    request: Request, registrant_id: uuid.UUID, status: Annotated[Status, Form()], session: SessionDep, by: ActorDep
) -> Response:
    """For those who may edit the registrant."""
    registrant = await service.set_status(session, by, registrant_id, status)
    text = f"The status of {registrant.name} was changed successfully."
    return _changed(request, text, registrant, by)


@router.post(
    "/update-notes/{registrant_id}",
    summary="Change the notes",
    response_class=Response,
    responses=CHANGES_BY_FORM,
    openapi_extra={"requestBody": _NOTES_BODY},
)
async def update_notes(
    request: Request,
    registrant_id: uuid.UUID,
    session: SessionDep,
    by: ActorDep,  # before the form is looked at: a user who may not change it learns nothing about it
    notes: Annotated[str, Depends(notes_field)],
) -> Response:
    """For those who may edit the registrant. Empty notes are deleted."""
    registrant = await service.set_notes(session, by, registrant_id, notes)
    return _changed(request, f"The notes on {registrant.name} were saved successfully.", registrant, by)


@router.post(
    "/upload-photo/{registrant_id}",
    summary="Give a photo",
    response_class=Response,
    responses={**CHANGES_BY_FORM, **PHOTO_REFUSED},
)
async def upload_photo(
    request: Request,
    registrant_id: uuid.UUID,
    session: SessionDep,
    storage: StorageDep,
    by: ActorDep,  # before the photo is read
    data: Annotated[bytes, Depends(photo_bytes)],
) -> Response:
    """For those who may edit the registrant. Takes the place of any photo that is there."""
    registrant = await while_connected(request, service.set_photo(session, storage, by, registrant_id, data))
    return _changed(request, f"The photo of {registrant.name} was saved successfully.", registrant, by)


@router.delete(
    "/delete-photo/{registrant_id}", summary="Delete the photo", response_class=Response, responses=CHANGES_ONE
)
async def delete_photo(
    request: Request, registrant_id: uuid.UUID, session: SessionDep, storage: StorageDep, by: ActorDep
) -> Response:
    """For those who may edit the registrant."""
    registrant = await service.delete_photo(session, storage, by, registrant_id)
    return _changed(request, f"The photo of {registrant.name} was deleted successfully.", registrant, by)


def _changed(
    request: Request,
    message: str,
    registrant: WebinarRegistrant | None = None,
    by: Actor | None = None,
    *,
    status_code: int = 200,
) -> Response:
    """A message, and for htmx the changed row beside it; without a row, the event that loads the list again."""
    row = registrant if "hx-request" in request.headers else None
    context: dict[str, Any] = {"message": message, "registrant": row}
    if by is not None:
        context |= _rights(by.user)
    headers = {"HX-Trigger": "dialog-done" if registrant else "dialog-done, registrants-changed"}
    return render(request, "webinars/changed.html", context, status_code=status_code, headers=headers)


def _rights(user: User) -> dict[str, Any]:
    return {
        "may_create": PAGE_RIGHTS.can(user, "create", TABLE),
        "may_edit": PAGE_RIGHTS.can(user, "edit", TABLE),
        "may_delete": PAGE_RIGHTS.can(user, "delete", TABLE),
        "statuses": get_args(Status),
    }
