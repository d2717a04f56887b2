"""Registrants to look at: eight of webinars to come, and five with photos of webinars that have been."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from datetime import timedelta

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.webinars.models import WebinarRegistrant
from demo.webinars.sample_data import UPCOMING, WITH_PHOTO, WithPhoto
from fastopp.apps import SeedStep, StepResult
from fastopp.auth.models import utc_now
from fastopp.settings import Settings
from fastopp.storage.addresses import key_at
from fastopp.storage.base import FileMissing, Storage
from fastopp.storage.photos import PHOTOS, remove_photo


async def add_webinars(session: AsyncSession, storage: Storage, settings: Settings) -> StepResult:
    """Add the registrants of webinars to come who are missing, by email. Dates count from today."""
    known = await _known_emails(session, (person.email for person in UPCOMING))
    missing = [person for person in UPCOMING if person.email not in known]
    if not missing:
        return StepResult("skipped", "All registrants of the sample webinars are there already.")
    today = utc_now().replace(hour=15, minute=0, second=0, microsecond=0)
    session.add_all(
        WebinarRegistrant(
            email=person.email,
            name=person.name,
            company=person.company,
            webinar_title=person.title,
            webinar_date=today + timedelta(days=person.days),
            status=person.status,
            assigned_sales_rep=person.rep,
            group=person.group,
            is_public=person.is_public,
            notes=person.notes,
        )
        for person in missing
    )
    return StepResult("success", f"{len(missing)} registrant(s) of sample webinars were added.")


async def store_photos(session: AsyncSession, storage: Storage, settings: Settings) -> StepResult:
    """Store the sample photos, but not of those who have been given another one.

    A sample's key comes from its content, so that storing it again, by another process or after a crash, writes
    the same file and leaves none behind.
    """
    rows = await session.exec(
        select(WebinarRegistrant.email, WebinarRegistrant.photo_url).where(
            col(WebinarRegistrant.email).in_([person.email for person in WITH_PHOTO])
        )
    )
    present = dict(rows.all())
    stored = 0
    for person in WITH_PHOTO:
        key, data = await _sample(person)
        if present.get(person.email) in (None, storage.url(key)):
            stored += await _store_missing(storage, key, data)
    if not stored:
        return StepResult("skipped", "All sample photos are stored already.")
    return StepResult("success", f"{stored} sample photo(s) were stored.")


async def add_registrants(session: AsyncSession, storage: Storage, settings: Settings) -> StepResult:
    """Add the registrants with photos who are missing, and photos that are missing to those who are not."""
    emails = [person.email for person in WITH_PHOTO]
    rows = (await session.exec(select(WebinarRegistrant).where(col(WebinarRegistrant.email).in_(emails)))).all()
    present = {registrant.email: registrant for registrant in rows}
    added = mended = 0
    for person in WITH_PHOTO:
        registrant = present.get(person.email)
        if registrant is not None and await _has_photo(storage, registrant):
            continue
        key, data = await _sample(person)
        await _store_missing(storage, key, data)
        if registrant is None:
            registrant = _registrant(person)
            added += 1
        else:
            mended += 1
        registrant.photo_url = storage.url(key)
        session.add(registrant)
    if not added and not mended:
        return StepResult("skipped", "All sample registrants are there already, with their photos.")
    return StepResult("success", f"{added} sample registrant(s) were added, {mended} got their photo back.")


async def clear_registrants(session: AsyncSession, storage: Storage, settings: Settings) -> StepResult:
    """Delete all registrants with their photos, then add the sample ones again."""
    samples = {storage.url((await _sample(person))[0]) for person in WITH_PHOTO}
    urls = (await session.exec(select(WebinarRegistrant.photo_url))).all()
    await session.exec(delete(WebinarRegistrant))
    for url in set(urls) - samples:
        remove_photo(session, storage, url)  # once this is committed
    await add_registrants(session, storage, settings)
    return StepResult("success", f"{len(urls)} registrant(s) were deleted, {len(WITH_PHOTO)} fresh ones added.")


STEPS = [
    SeedStep("webinars", "Sample Webinars", add_webinars),
    SeedStep("photos", "Sample Photos", store_photos),
    SeedStep("registrants", "Sample Registrants", add_registrants),
    SeedStep("clear_registrants", "Fresh Registrants", clear_registrants, destructive=True),
]


def _registrant(person: WithPhoto) -> WebinarRegistrant:
    return WebinarRegistrant(
        email=person.email,
        name=person.name,
        company=person.company,
        webinar_title=person.title,
        webinar_date=person.date,
        registration_date=person.date - timedelta(days=14),
        status=person.status,
        notes=person.notes,
    )


async def _known_emails(session: AsyncSession, emails: Iterable[str]) -> set[str]:
    query = select(WebinarRegistrant.email).where(col(WebinarRegistrant.email).in_(list(emails)))
    return set((await session.exec(query)).all())


async def _sample(person: WithPhoto) -> tuple[str, bytes]:
    """The key and the content of a sample photo."""
    data = await asyncio.to_thread(person.photo.read_bytes)
    return f"{PHOTOS}/{hashlib.sha256(data).hexdigest()[:32]}.jpg", data


async def _store_missing(storage: Storage, key: str, data: bytes) -> bool:
    if await _exists(storage, key):
        return False
    await storage.put(key, data, content_type="image/jpeg")
    return True


async def _has_photo(storage: Storage, registrant: WebinarRegistrant) -> bool:
    key = key_at(storage, registrant.photo_url)
    if key is None:
        return registrant.photo_url is not None  # of another address, which is not ours to check
    return await _exists(storage, key)


async def _exists(storage: Storage, key: str) -> bool:
    try:
        await storage.head(key)
    except FileMissing:
        return False
    return True
