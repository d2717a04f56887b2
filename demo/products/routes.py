"""The product dashboard and its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field
from pydantic_core import to_json

from demo.products import service
from demo.products.repository import MAX_PER_PAGE, ProductFilter
from demo.products.schemas import PRODUCTS_DOWN, PRODUCTS_OK
from fastopp.core.dependencies import DatabaseDep, RuntimeDep, SessionDep
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.features.accounts.current_user import OptionalUser
from fastopp.features.accounts.detached import DetachedSuperUser
from fastopp.web.cached import cached
from fastopp.web.templating import render

router = APIRouter()

PAGE = "/database-demo"
VARIES = ("HX-Request", "HX-Target")  # a cache must not answer a page with a table
VARY = {"Vary": ", ".join(VARIES)}
ROWS = 10  # of the dashboard's table


class ApiFilter(ProductFilter):
    """The page's filter, and a page size."""

    per_page: Annotated[int, Field(ge=1, le=MAX_PER_PAGE, description="Products per page.")] = MAX_PER_PAGE


@router.get(
    "/api/products",
    tags=["products"],
    summary="Products with figures about the catalogue",
    response_class=Response,
    responses={200: PRODUCTS_OK, 503: PRODUCTS_DOWN},
)
async def list_products(wanted: Annotated[ApiFilter, Query()], database: DatabaseDep) -> Response:
    """Filter, sort and page through the products. `categories`, `stats` and `stock` cover the whole catalogue."""
    try:
        async with database.read() as session:
            catalogue = await service.load_catalogue(session, wanted, per_page=wanted.per_page)
    except (DatabaseUnavailable, TablesMissing) as error:
        reason = " ".join(filter(None, (error.message, error.hint)))
        return _json(service.outage(wanted, reason, per_page=wanted.per_page), status_code=503, headers=error.headers)
    return _json(catalogue.as_json())


@router.get(PAGE, include_in_schema=False)
@cached(60, stale=3600, tags=["products"], vary=VARIES)
async def dashboard(
    request: Request, wanted: Annotated[ProductFilter, Query()], session: SessionDep, user: OptionalUser
) -> Response:
    """The dashboard, or for htmx its table alone. While the database is down, visitors see the page of before.

    What is not cached then says so, and tries again.
    """
    table_only = request.headers.get("hx-target") == "products"
    context: dict[str, Any] = {"wanted": wanted, "address": PAGE + wanted.as_query()}
    try:
        context["catalogue"] = await service.load_catalogue(session, wanted, per_page=ROWS, bands=not table_only)
    except (DatabaseUnavailable, TablesMissing) as error:
        context["problem"] = error
        # The table's place cannot say that everything is out of date, so htmx has to swap the dashboard.
        swap = {"HX-Retarget": "#dashboard", "HX-Reselect": "#dashboard", "HX-Reswap": "outerHTML"}
        return render(request, "products/down.html", context, status_code=503, headers=error.headers | swap | VARY)
    if table_only:
        headers = {"HX-Push-Url": context["address"]}
        return render(request, "products/table.html", context, headers=headers | VARY)
    return render(request, "products/dashboard.html", context, headers=VARY)


@router.post(f"{PAGE}/sample-data", include_in_schema=False)
async def add_sample_data(runtime: RuntimeDep, user: DetachedSuperUser) -> Response:
    """Add the sample products and go back to the dashboard; what its empty state offers to superusers."""
    from fastopp.features.setup.seeding import run_step  # noqa: PLC0415 - only for who asks for sample data

    await run_step(runtime, "products")
    return RedirectResponse(PAGE, status_code=303)


def _json(content: dict[str, Any], *, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # Serialised in Rust from plain dictionaries; a response model would check a thousand rows again.
    body = to_json(content, inf_nan_mode="null")
    return Response(body, status_code=status_code, headers=headers, media_type="application/json")
