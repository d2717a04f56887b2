"""The changes of registrants. Every function works within the session's transaction, which its caller commits."""

from __future__ import annotations

import uuid
from typing import NamedTuple

from fastapi import Request
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.webinars import repository
from demo.webinars.models import Status, WebinarRegistrant
from demo.webinars.permissions import PAGE_RIGHTS, TABLE
from demo.webinars.schemas import NewRegistrant
from fastopp.errors import Conflict, Forbidden, NotFound
from fastopp.features.accounts import audit
from fastopp.features.accounts.models import User
from fastopp.features.accounts.permissions import Action
from fastopp.storage import photos
from fastopp.storage.base import Storage
from fastopp.storage.photos import remove_photo

MODEL = WebinarRegistrant.__name__  # in the audit log, as the admin panel names it


class RegistrantMissing(NotFound):
    """There is no such registrant, or none that you may see."""


class RegistrantLocked(Forbidden):
    """You may look at this registrant, but not change them."""

    hint = "Marketing may change everyone, sales those assigned to them."


class MayNotAdd(Forbidden):
    """Only marketing and superusers add and delete registrants."""


class NoPhoto(NotFound):
    """This registrant has no photo."""


class EmailTaken(Conflict):
    """A person with this email address is registered already."""

    hint = "Search for the address, or use another one."


class Actor(NamedTuple):
    """The user who changes something, and the request: what the audit log records."""

    user: User
    request: Request


async def get(
    session: AsyncSession, user: User, registrant_id: uuid.UUID, action: Action = "view", *, lock: bool = False
) -> WebinarRegistrant:
    """A registrant on whom the user may do this. Raises RegistrantMissing, RegistrantLocked, MayNotAdd."""
    found = await repository.find(session, user, registrant_id, action, lock=lock)
    if found is not None:
        return found
    if action == "view" or await repository.find(session, user, registrant_id) is None:
        raise RegistrantMissing
    raise MayNotAdd if action == "delete" else RegistrantLocked


async def add(session: AsyncSession, actor: Actor, new: NewRegistrant) -> WebinarRegistrant:
    """Register a person. Raises MayNotAdd, EmailTaken."""
    if not PAGE_RIGHTS.can(actor.user, "create", TABLE):
        raise MayNotAdd
    registrant = WebinarRegistrant.model_validate(
        {name: None if value == "" else value for name, value in new.model_dump().items()}
    )
    session.add(registrant)
    try:
        await session.flush()
    except IntegrityError:
        raise EmailTaken from None
    changes = {"email": {"old": None, "new": new.email}}
    await audit.record(session, actor.user, "create", MODEL, registrant.id, changes, actor.request)
    return registrant


async def delete(session: AsyncSession, storage: Storage, actor: Actor, registrant_id: uuid.UUID) -> WebinarRegistrant:
    """Remove a registrant with their photo. Raises RegistrantMissing, MayNotAdd."""
    registrant = await get(session, actor.user, registrant_id, "delete", lock=True)
    remove_photo(session, storage, registrant.photo_url)
    await session.delete(registrant)
    changes = {"email": {"old": registrant.email, "new": None}}
    await audit.record(session, actor.user, "delete", MODEL, registrant_id, changes, actor.request)
    return registrant


async def set_status(
    session: AsyncSession, actor: Actor, registrant_id: uuid.UUID, status: Status
) -> WebinarRegistrant:
    """Change the status. Raises RegistrantMissing, RegistrantLocked."""
    return await _change(session, actor, registrant_id, "status", status)


async def set_notes(session: AsyncSession, actor: Actor, registrant_id: uuid.UUID, notes: str) -> WebinarRegistrant:
    """Change the notes; a blank text takes them away. Raises RegistrantMissing, RegistrantLocked."""
    text = notes.replace("\r\n", "\n").strip()
    return await _change(session, actor, registrant_id, "notes", text or None)


async def set_photo(
    session: AsyncSession, storage: Storage, actor: Actor, registrant_id: uuid.UUID, data: bytes
) -> WebinarRegistrant:
    """Give a registrant a photo, in place of any they have.

    Raises RegistrantMissing, RegistrantLocked, and what `photos.replace` raises.
    """
    registrant = await get(session, actor.user, registrant_id, "edit")
    old = registrant.photo_url
    new = await photos.replace(session, storage, registrant, "photo_url", data)
    await _record(session, actor, registrant, "photo_url", old, new)
    return registrant


async def delete_photo(
    session: AsyncSession, storage: Storage, actor: Actor, registrant_id: uuid.UUID
) -> WebinarRegistrant:
    """Take a registrant's photo away. Raises RegistrantMissing, RegistrantLocked, NoPhoto."""
    registrant = await get(session, actor.user, registrant_id, "edit", lock=True)
    if registrant.photo_url is None:
        raise NoPhoto
    remove_photo(session, storage, registrant.photo_url)
    return await _write(session, actor, registrant, "photo_url", None)


async def _change(
    session: AsyncSession, actor: Actor, registrant_id: uuid.UUID, field: str, value: str | None
) -> WebinarRegistrant:
    registrant = await get(session, actor.user, registrant_id, "edit", lock=True)
    return await _write(session, actor, registrant, field, value)


async def _write(
    session: AsyncSession, actor: Actor, registrant: WebinarRegistrant, field: str, value: str | None
) -> WebinarRegistrant:
    old = getattr(registrant, field)
    setattr(registrant, field, value)
    session.add(registrant)
    await _record(session, actor, registrant, field, old, value)
    return registrant


async def _record(
    session: AsyncSession, actor: Actor, registrant: WebinarRegistrant, field: str, old: str | None, new: str | None
) -> None:
    changes = {field: {"old": old, "new": new}}
    await audit.record(session, actor.user, "update", MODEL, registrant.id, changes, actor.request)
