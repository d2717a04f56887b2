"""Work on registrants that takes longer than a request should."""

from __future__ import annotations

from typing import Any

from sqlmodel import col, select

from demo.webinars.models import WebinarRegistrant
from fastopp.storage.addresses import key_at
from fastopp.storage.base import FileMissing
from fastopp.tasks.context import TaskContext
from fastopp.tasks.retry import Retry
from fastopp.tasks.task import task


@task(queueing_lock="webinars.check_photos", lock="webinars.check_photos", retry=Retry(attempts=3))
async def check_photos(context: TaskContext) -> dict[str, Any]:
    """Look whether each registrant's photo is still there, and forget those that are not.

    A disk that does not last, or a hand in the bucket, takes photos away; a row that names one is then wrong.
    """
    storage = context.runtime.storage
    async with context.runtime.database.read() as session:
        query = select(WebinarRegistrant.id, WebinarRegistrant.photo_url).where(
            col(WebinarRegistrant.photo_url).is_not(None)
        )
        photos = (await session.exec(query)).all()
    gone = 0
    for number, (registrant_id, url) in enumerate(photos):
        await context.progress(number, len(photos), "Looking at photos")
        key = key_at(storage, url)
        if key is None:  # at an address that is not ours
            continue
        try:
            await storage.head(key)
        except FileMissing:
            async with context.transaction() as session:
                found = await session.get(WebinarRegistrant, registrant_id, with_for_update=True)
                # Meanwhile a user may have given a new photo.
                if found is not None and found.photo_url == url:
                    found.photo_url = None
                    session.add(found)
                    gone += 1
    await context.progress(len(photos), len(photos), f"{len(photos)} photos, {gone} of them gone")
    return {"photos": len(photos), "gone": gone}
