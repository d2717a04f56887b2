"""Large uploads over HTTP: announce a file, PUT it to the Object Storage, say that it is there."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from fastopp.core.dependencies import ClockDep, DatabaseDep, SettingsDep, StorageDep
from fastopp.features.accounts.detached import DetachedStaffUser
from fastopp.storage import deadlines
from fastopp.storage.direct_uploads import DEFAULT_PREFIX, MAX_SIZE, announce, complete
from fastopp.web.answers import NO_STORE
from fastopp.web.api_docs import problems

router = APIRouter(prefix="/api/uploads", tags=["uploads"], responses=problems(400, 401, 403, 409, 422, 500, 502, 503))


class Announcement(BaseModel):
    """A file that a browser wants to send."""

    name: str = Field(
        "", max_length=1024, description="The file's original name; determines the type if `content_type` is missing"
    )
    content_type: str = Field("", max_length=200)
    size: int = Field(ge=1, le=MAX_SIZE, description="In bytes")
    prefix: str = Field(DEFAULT_PREFIX, max_length=260, description="The folder to store it in")


class Completion(BaseModel):
    """The word that a file has been sent."""

    ticket: str = Field(max_length=4096)


@router.post("", status_code=201, summary="Announce a large upload", responses=problems(415, 429, 507))
async def announce_upload(
    wanted: Announcement,
    storage: StorageDep,
    settings: SettingsDep,
    database: DatabaseDep,
    clock: ClockDep,
    user: DetachedStaffUser,
) -> JSONResponse:
    """An address to PUT the file to, which takes this size and type and nothing else, until it expires.

    Send exactly the `headers`. Then POST `{"ticket": …}` to `complete`: before that no route serves it.

    What one account may have announced and not completed is limited: 429.
    """
    async with deadlines.within(deadlines.UPLOAD):
        upload = await announce(
            storage,
            settings,
            database.engine,
            user.id,
            name=wanted.name,
            size=wanted.size,
            content_type=wanted.content_type,
            prefix=wanted.prefix,
            clock=clock,
        )
    answer: dict[str, Any] = {
        "key": upload.key,
        "method": "PUT",
        "url": upload.put.url,
        "headers": dict(upload.put.headers),
        "expires": upload.expires.isoformat(timespec="seconds"),
        "ticket": upload.ticket,
        "complete": f"{router.prefix}/{quote(upload.key)}/complete",
    }
    return JSONResponse(answer, 201, NO_STORE)


@router.post("/{key:path}/complete", summary="Complete a large upload", responses=problems(404))
async def complete_upload(
    key: str,
    done: Completion,
    storage: StorageDep,
    settings: SettingsDep,
    database: DatabaseDep,
    clock: ClockDep,
    user: DetachedStaffUser,
) -> JSONResponse:
    """Check what has arrived, and publish it. If it has not the size and type that were announced, it is deleted: 422.

    What is sent to the address later changes nothing.
    """
    file = await complete(storage, settings, database.engine, key=key, ticket=done.ticket, clock=clock)
    answer = {"key": key, "url": storage.url(key), "size": file.size, "content_type": file.content_type}
    return JSONResponse(answer, 200, NO_STORE)
