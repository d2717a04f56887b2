"""The admin as a project serves it, over SQLite or PostgreSQL, with accounts of every group and some rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlmodel import SQLModel, select

from demo.products.models import Product
from demo.webinars.models import WebinarRegistrant
from fastopp.core.apps import App, find_apps
from fastopp.core.assembly import assemble
from fastopp.core.runtime import Runtime
from fastopp.features.accounts.models import AuditLog, User
from fastopp.features.accounts.passwords import hash_password
from fastopp.platforms.detection import PLATFORMS
from fastopp.settings import Settings
from fastopp.settings.loading import from_variables

PASSWORD = "correct horse"
BROWSER = {"accept": "text/html,*/*;q=0.8"}
GROUPS = ("superuser", "marketing", "sales", "support", "nobody")


@dataclass
class AdminApp:
    """A running application, and clients that are signed in."""

    app: FastAPI
    runtime: Runtime

    def client(self, base_url: str = "http://site.test", **options: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app)
        headers = BROWSER | options.pop("headers", {})
        return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, **options)

    @asynccontextmanager
    async def signed_in(self, group: str) -> AsyncIterator[httpx.AsyncClient]:
        async with self.client() as client:
            answer = await client.post("/admin/login", data={"username": email(group), "password": PASSWORD})
            assert answer.status_code == 302, answer.text
            yield client

    async def rows(self, model: type[Any], *conditions: Any) -> Sequence[Any]:
        async with self.runtime.database.read() as session:
            return (await session.exec(select(model).where(*conditions))).all()

    async def one(self, model: type[Any], *conditions: Any) -> Any:
        (row,) = await self.rows(model, *conditions)
        return row

    async def add(self, *rows: SQLModel) -> None:
        async with self.runtime.database.transaction() as session:
            session.add_all(rows)

    async def audit(self, action: str) -> Sequence[AuditLog]:
        return await self.rows(AuditLog, AuditLog.action == action)


def email(group: str) -> str:
    return f"{group}@example.com"


def settings(database_url: str, folder: Path) -> Settings:
    variables = {
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a-secret-key-for-tests-of-40-characters!",
        "UPLOAD_DIR": str(folder / "uploads"),
        "ENVIRONMENT": "development",
        "ALLOWED_HOSTS": "site.test",
    }
    return from_variables(variables, PLATFORMS["local"])


@asynccontextmanager
async def running(
    database_url: str, folder: Path, password_hash: str, extra_apps: Sequence[App] = ()
) -> AsyncIterator[AdminApp]:
    configuration = settings(database_url, folder)
    apps = (*find_apps(["demo.products", "demo.webinars"]), *extra_apps)
    app, opening = assemble(configuration, apps)
    async with opening as runtime:
        app.state.runtime = runtime
        async with runtime.database.engine.begin() as connection:
            await connection.run_sync(SQLModel.metadata.create_all)
        site = AdminApp(app, runtime)
        await site.add(*accounts(password_hash), *products(), *registrants())
        yield site


_hashes: list[str] = []
"""The hash of everyone's password, once it is made: that takes as long as a page."""


async def make_password_hash() -> str:
    if not _hashes:
        _hashes.append(await hash_password(PASSWORD))
    return _hashes[0]


def accounts(password_hash: str) -> list[User]:
    return [
        User(
            email=email(group),
            hashed_password=password_hash,
            is_staff=True,
            is_superuser=group == "superuser",
            group=None if group in ("superuser", "nobody") else group,
        )
        for group in GROUPS
    ]


def products() -> list[Product]:
    return [
        Product(name="Lamp", price=10.5, category="Light"),
        Product(name="Chair", price=80, category="Furniture", in_stock=False),
        Product(name="=1+1", price=1, category=None),
    ]


def registrants() -> list[WebinarRegistrant]:
    when = datetime(2027, 3, 1, 18, 30, tzinfo=UTC)
    return [
        WebinarRegistrant(
            email=f"{name}@customers.test",
            name=name.title(),
            webinar_title="Sales in spring",
            webinar_date=when,
            assigned_sales_rep=representative,
            is_public=public,
            group="sales",
        )
        for name, representative, public in (
            ("mine", email("sales"), False),
            ("other", "somebody@example.com", True),
            ("nobodys", None, True),
        )
    ]
