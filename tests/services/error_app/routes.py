"""Pages that fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Form, Header, Request
from fastapi.responses import StreamingResponse

from fastopp import BadRequest, OptionalUser, RuntimeDep, SessionDep, report
from fastopp.features.accounts.models import FailedAttempt

router = APIRouter()


class ShopError(Exception):
    """Of this app."""


class Unprintable(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError


@router.get("/fail/{name}")
async def fail(name: str, user: OptionalUser) -> None:
    raise ShopError(f"{name} is broken")


@router.get("/elsewhere")
async def elsewhere() -> None:
    raise ShopError("broken")


@router.get("/kinds/{name}")
async def kinds(name: str) -> None:
    raise type(name, (Exception,), {})("of a kind that a program has made")


@router.post("/secret/{token}")
async def leak(
    request: Request,
    runtime: RuntimeDep,
    token: str,
    password: Annotated[str, Form()],
    authorization: Annotated[str, Header()],
) -> None:
    settings = runtime.settings
    local_api_key = "canary-of-a-local-variable"
    holder = {"credentials": {"secret": "canary-in-a-dictionary"}}
    body = str((await request.form()).multi_items())
    everything = [
        token, password, authorization, request.headers["cookie"], local_api_key, str(holder), body,
        str(request.url), settings.database_url.get_secret_value(), settings.ops_token.get_secret_value(),
        settings.secret_key.get_secret_value(), settings.s3_secret_key.get_secret_value(),
    ]  # fmt: skip
    error = ValueError(" | ".join(everything))
    report(error, password=password, note=f"it was {password}", settings=settings, nested={"token": [token, password]})
    raise ShopError(f"{authorization} and {password!r}") from error


@router.post("/caught")
async def caught(session: SessionDep, *, refuse: bool = False) -> Any:
    session.add(FailedAttempt(subject="an order"))
    try:
        {}["colour"]
    except KeyError as error:
        report(error, order=7, colour="blue", price=float("nan"), odd=Unprintable(), long="x" * 5000)
    if refuse:
        raise BadRequest
    return {"done": True}


@router.get("/odd")
async def odd() -> Any:
    report(Unprintable())
    report(None)  # type: ignore[arg-type] # as a mistake
    report(ExceptionGroup("many", [ShopError(str(number)) for number in range(100)]), **{str(n): n for n in range(100)})
    return {"done": True}


@router.get("/in-a-thread")
def in_a_thread() -> Any:
    report(ShopError("never raised"), request=5)
    return {"done": True}


@router.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        raise ShopError("in the middle")

    return StreamingResponse(parts())


@router.get("/in-background")
async def in_background(runtime: RuntimeDep) -> Any:
    async def work() -> None:
        raise ShopError("in the background")

    return {"started": runtime.background.start("prices", work, limit=5)}
