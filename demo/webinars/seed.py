"""Registrants to look at: eight of webinars to come, and five with photos of webinars that have been."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.webinars.models import WebinarRegistrant
from demo.webinars.sample_data import UPCOMING, WITH_PHOTO, WithPhoto
from fastopp.core.apps import SeedStep, StepResult
from fastopp.features.accounts.models import utc_now
from fastopp.features.setup.seeding import lock
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
    await session.rollback()  # no connection is held while the storage is waited for
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
    known = {registrant.email: registrant.photo_url for registrant in await _sample_registrants(session)}
    await session.rollback()  # as above
    urls: dict[str, str] = {}
    for person in WITH_PHOTO:
        if person.email in known and await _has_photo(storage, known[person.email]):
            continue
        key, data = await _sample(person)
        await _store_missing(storage, key, data)
        urls[person.email] = storage.url(key)
    await lock(session)
    present = {registrant.email: registrant for registrant in await _sample_registrants(session)}
    added = repaired = 0
    for person in WITH_PHOTO:
        if (url := urls.get(person.email)) is None:
            continue
        registrant = present.get(person.email)
        if registrant is None:
            session.add(_registrant(person, url))
            added += 1
        elif registrant.photo_url == known.get(person.email):  # else it was given another one meanwhile
            registrant.photo_url = url
            session.add(registrant)
            repaired += 1
    if not added and not repaired:
        return StepResult("skipped", "All sample registrants are there already, with their photos.")
    return StepResult("success", f"{added} sample registrant(s) were added, {repaired} got their photo back.")


async def clear_registrants(session: AsyncSession, storage: Storage, settings: Settings) -> StepResult:
    """Delete all registrants with their photos, then add the sample ones again."""
    await session.rollback()  # as above
    samples: list[str] = []
    for person in WITH_PHOTO:
        key, data = await _sample(person)
        await _store_missing(storage, key, data)
        samples.append(storage.url(key))
    await lock(session)
    urls = (await session.exec(select(WebinarRegistrant.photo_url))).all()
    await session.exec(delete(WebinarRegistrant))
    for url in set(urls) - {*samples}:
        remove_photo(session, storage, url)  # once this is committed
    session.add_all(_registrant(person, url) for person, url in zip(WITH_PHOTO, samples, strict=True))
    return StepResult("success", f"{len(urls)} registrant(s) were deleted, {len(WITH_PHOTO)} fresh ones added.")


STEPS = [
    SeedStep("webinars", "Sample Webinars", add_webinars),
    SeedStep("photos", "Sample Photos", store_photos),
    SeedStep("registrants", "Sample Registrants", add_registrants),
    SeedStep("clear_registrants", "Fresh Registrants", clear_registrants, destructive=True),
]


async def _sample_registrants(session: AsyncSession) -> Sequence[WebinarRegistrant]:
    emails = [person.email for person in WITH_PHOTO]
    return (await session.exec(select(WebinarRegistrant).where(col(WebinarRegistrant.email).in_(emails)))).all()


def _registrant(person: WithPhoto, photo_url: str) -> WebinarRegistrant:
    return WebinarRegistrant(
        email=person.email,
        name=person.name,
        company=person.company,
        webinar_title=person.title,
        webinar_date=person.date,
        registration_date=person.date - timedelta(days=14),
        status=person.status,
        notes=person.notes,
        photo_url=photo_url,
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


async def _has_photo(storage: Storage, url: str | None) -> bool:
    key = key_at(storage, url)
    if key is None:
        return url is not None  # of another address, which is not ours to check
    return await _exists(storage, key)


async def _exists(storage: Storage, key: str) -> bool:
    try:
        await storage.head(key)
    except FileMissing:
        return False
    return True
