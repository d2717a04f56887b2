"""The demo as a running project, for its tests."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from sqlmodel import select

from demo.webinars.models import WebinarRegistrant
from fastopp.features.setup.seeding import InitReport, run_full_init
from tests.services.ops_project import Project, running

APPS = ("demo.pages", "demo.users", "demo.products", "demo.webinars")
NOBODY = uuid.UUID(int=0)
PASSWORDS = {"admin@example.com": "admin123"}
TEST_PASSWORD = "test123"


@asynccontextmanager
async def demo(url: str, folder: Path, *, seeded: bool = True) -> AsyncIterator[Project]:
    """The demo with its tables, and its sample data unless told otherwise."""
    async with running(url, folder, apps=APPS) as project:
        if seeded:
            await seed(project)
        yield project


async def seeded_demo(url: str, folder: Path) -> None:
    """Fill a template with the demo's tables and sample data."""
    async with demo(url, folder):
        pass


async def seed(project: Project) -> InitReport:
    """Initialise, which must work."""
    report = await run_full_init(project.runtime)
    assert report.success, report
    return report


def account(name: str) -> tuple[str, str]:
    """Email and password of a test account."""
    email = f"{name}@example.com"
    return email, PASSWORDS.get(email, TEST_PASSWORD)


async def registrant(project: Project, name: str) -> WebinarRegistrant:
    """The registrant of that name as they are in the database now."""
    async with project.runtime.database.read() as session:
        return (await session.exec(select(WebinarRegistrant).where(WebinarRegistrant.name == name))).one()


async def stored_keys(project: Project) -> set[str]:
    """Every file in the storage."""
    return {file.key async for file in project.runtime.storage.list()}


def new_registrant(**changes: Any) -> WebinarRegistrant:
    """A row to add."""
    values: dict[str, Any] = {
        "email": f"{uuid.uuid4().hex}@example.com",
        "name": "Somebody New",
        "webinar_title": "A Webinar",
        "webinar_date": datetime(2027, 1, 1, tzinfo=UTC),
    }
    return WebinarRegistrant(**(values | changes))


def picture(colour: str = "#336699", kind: str = "JPEG") -> bytes:
    """A small valid picture."""
    from PIL import Image

    buffer = BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, kind)
    return buffer.getvalue()
