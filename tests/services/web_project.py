"""A small application with the whole web layer around it, as the framework installs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from fastopp.core.apps import NavItem
from fastopp.errors import Forbidden, Unauthorized, Unavailable
from fastopp.settings import Settings, load_settings
from fastopp.web import setup
from fastopp.web.templating import render

SIGN_IN_PAGE = {"error": None, "next": "", "email": "", "options": {"button": [], "link": []}, "for_members": False}
NAVIGATION = [NavItem("Shop", "/shop"), NavItem("Orders", "/orders", "management", "staff")]


@dataclass
class Somebody:
    """An account, as far as pages look at it."""

    email: str = "ada@example.com"
    is_superuser: bool = False
    is_staff: bool = False
    is_active: bool = True
    group: str | None = None


class SignIn(BaseModel):
    email: str
    password: str
    age: int = 0


def settings(**environ: str) -> Settings:
    return load_settings({"ALLOWED_HOSTS": "testserver", **environ}, env_file=Path("/nonexistent"))


def sign_in_by_header(request: Request) -> None:
    """`X-Role: staff` is a signed-in member of staff; no header is nobody."""
    role = request.headers.get("x-role")
    request.state.user = Somebody(is_superuser=role == "superuser", is_staff=role == "staff") if role else None


def make_app(project: Path, environ: Mapping[str, str] | None = None) -> FastAPI:
    """The application; `project` may hold `templates/` and `static/`."""
    configuration = settings(**(environ or {}))
    app = FastAPI(docs_url=None, redoc_url=None)
    setup.install(app, configuration, (), NAVIGATION, project)
    router = APIRouter(dependencies=[Depends(sign_in_by_header)])

    @router.get("/page/{name}")
    async def page(request: Request, name: str) -> Response:
        return render(request, name)

    @router.get("/sign-in-form")
    async def sign_in_form(request: Request) -> Response:
        return render(request, "login.html", SIGN_IN_PAGE)

    @router.get("/fail/{kind}")
    @router.post("/fail/{kind}")
    @router.get("/api/fail/{kind}")
    async def fail(kind: str) -> None:
        errors: dict[str, Exception] = {
            "unauthorized": Unauthorized(),
            "forbidden": Forbidden("Only sales may see this.", hint="Ask a superuser."),
            "unavailable": Unavailable("The database does not answer."),
            "bug": ValueError("the secret is s3cr3t"),
            "structure": HTTPException(409, {"field": "email"}),
            "plain": HTTPException(404),
            "worded": HTTPException(404, "No such product."),
        }
        raise errors[kind]

    @router.post("/json")
    async def json(data: SignIn) -> dict[str, Any]:
        return {"email": data.email}

    @router.post("/form")
    async def form(word: Annotated[str, Form()] = "") -> dict[str, str]:
        return {"word": word}

    @router.post("/enter")
    async def enter(request: Request) -> dict[str, str]:
        request.session["token"] = "a token"
        return {}

    @router.get("/where")
    async def where(request: Request) -> dict[str, str]:
        return {"base": str(request.base_url)}

    app.include_router(router)
    setup.install_static(app, (), project)
    return app


def client(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    """A caller; header names are given with underscores."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    return httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=names)


BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HTMX = {"hx_request": "true", "hx_current_url": "http://testserver/shop?page=2", "accept": "*/*"}
