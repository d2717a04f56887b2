"""Pages and functions that are cached, for the tests of caching. `calls` counts what ran."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.products.models import Product
from fastopp import (
    BadRequest,
    CacheDep,
    ConditionalDep,
    CurrentUser,
    DatabaseDep,
    NotFound,
    OptionalUser,
    SessionDep,
    cached,
    invalidate_tags,
    render,
)

router = APIRouter()
calls: Counter[str] = Counter()


class Offer(BaseModel):
    name: str
    price: Decimal
    until: datetime


@cached(60, tags=["products"])
async def list_names(session: AsyncSession, *, prefix: str = "") -> list[str]:
    calls["names"] += 1
    query = select(Product.name).where(col(Product.name).startswith(prefix)).order_by(Product.name)
    return list((await session.exec(query)).all())


@cached(60, tags=["offer:{name}"])
async def offer(name: str, discount: Any = 0) -> Offer:
    calls["offer"] += 1
    return Offer(name=name, price=Decimal("9.90"), until=datetime(2030, 1, 1, tzinfo=UTC))


@cached(60)
async def double(value: Any) -> Any:
    calls["double"] += 1
    return [value, value]


@router.get("/list")
@cached(60, stale=600, tags=["products"], vary=["X-Colour"])
async def page(request: Request, session: SessionDep, user: OptionalUser, *, fail: str = "") -> Response:
    calls["page"] += 1
    if fail == "missing":
        raise NotFound
    if fail == "down" or calls["broken"]:
        return Response("down", status_code=503)
    names = (await session.exec(select(Product.name).order_by(Product.name))).all()
    context = {"names": names, "number": calls["page"], "form": fail == "form"}
    response = render(request, "cache_app/list.html", context)
    if fail == "cookie":
        response.set_cookie("seen", "1")
    if fail == "private":
        response.headers["Cache-Control"] = "private"
    if fail == "session":
        request.session["seen"] = 1
    return response


@router.get("/for-htmx")
@cached(60, vary=["HX-Request"], browser=30)
async def for_htmx(request: Request) -> Response:
    calls["for_htmx"] += 1
    return render(request, "cache_app/list.html", {"names": [], "number": calls["for_htmx"], "form": False})


@router.get("/stream")
@cached(60)
async def stream(request: Request) -> Response:
    calls["stream"] += 1
    return StreamingResponse(iter([b"a", b"b"]))


@router.get("/numbers/{number}")
@cached(60, tags=["numbers"])
async def numbers(number: int) -> Response:
    calls["numbers"] += 1
    return JSONResponse({"number": number})


@router.get("/mine")
@cached(60)
async def mine(user: CurrentUser) -> Response:
    calls["mine"] += 1
    return JSONResponse({"email": user.email})


@router.get("/names")
async def names(session: SessionDep) -> list[str]:
    return await list_names(session)


@router.get("/offer")
async def show_offer(name: str) -> Offer:
    return await offer(name)


@router.get("/detail")
async def detail(
    request: Request, session: SessionDep, user: OptionalUser, conditional: ConditionalDep, *, public: bool = False
) -> Response:
    product = (await session.exec(select(Product))).one()
    conditional.check(product.name, modified=product.updated_at, public=public, max_age=10 if public else 0)
    calls["detail"] += 1
    return render(request, "cache_app/list.html", {"names": [product.name], "number": 1, "form": False})


@router.post("/products")
async def add(session: SessionDep, name: str, *, refuse: bool = False) -> list[str]:
    session.add(Product(name=name, price=1))
    await session.flush()
    seen = await list_names(session)  # in the transaction
    if refuse:
        raise BadRequest
    return seen


@router.post("/empty")
async def empty(session: SessionDep) -> None:
    await session.exec(delete(Product))


@router.post("/by-hand")
async def by_hand(session: SessionDep, name: str) -> Offer:
    invalidate_tags(session, f"offer:{name}")
    return await offer(name)  # not kept: this request may be rolled back


@router.post("/savepoint")
async def savepoint(session: SessionDep) -> None:
    async with session.begin_nested():
        session.add(Product(name="Nested", price=1))


@router.get("/too-early")
async def too_early(session: SessionDep) -> None:
    invalidate_tags(session, "products")


@router.post("/clear")
async def clear(cache: CacheDep, database: DatabaseDep) -> dict[str, int | None]:
    return {"removed": await cache.clear()}
