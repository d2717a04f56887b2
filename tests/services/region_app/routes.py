"""Routes that say where they read, for the tests of a replica."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.products.models import Product
from fastopp import CurrentUser, DatabaseDep, SessionDep, cached
from fastopp.database.replica import is_on_replica

router = APIRouter(prefix="/region")


@router.get("/names")
async def names(session: SessionDep, name: str = "") -> dict[str, Any]:
    query = select(func.count()).select_from(Product).where(col(Product.name) == name)
    return {"count": (await session.exec(query)).one(), "replica": is_on_replica(session)}


@router.post("/names")
async def add(session: SessionDep, name: str) -> dict[str, Any]:
    session.add(Product(name=name, price=Decimal(1)))
    return {"replica": is_on_replica(session)}


@router.get("/me")
async def me(session: SessionDep, user: CurrentUser) -> dict[str, Any]:
    return {"email": user.email, "replica": is_on_replica(session)}


@router.get("/write")
async def write(session: SessionDep) -> dict[str, Any]:
    session.add(Product(name="by a GET", price=Decimal(1)))
    await session.flush()
    return {}


@router.get("/own-transaction")
async def own_transaction(database: DatabaseDep, name: str) -> dict[str, Any]:
    async with database.transaction() as session:
        session.add(Product(name=name, price=Decimal(1)))
    return {}


@cached(60, tags=["region"])
async def count(session: AsyncSession) -> int:
    return (await session.exec(select(func.count()).select_from(Product))).one()


@router.get("/value")
async def value(session: SessionDep) -> dict[str, Any]:
    return {"count": await count(session), "replica": is_on_replica(session)}


@router.get("/page")
@cached(60, tags=["region"])
async def page(request: Request, session: SessionDep) -> Response:
    return JSONResponse({"count": await count(session), "replica": is_on_replica(session)})
