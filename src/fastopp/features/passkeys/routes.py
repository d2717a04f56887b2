"""/account/passkeys: the passkeys of the signed-in user."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.errors import FastOppError, Unavailable
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import CurrentUser, PresentUser
from fastopp.features.accounts.factors import mail_of
from fastopp.features.accounts.fresh import DetachedFreshUser, FreshRoute, FreshUser
from fastopp.features.accounts.models import MAX_NAME
from fastopp.features.passkeys.answer import Credential, read_credential
from fastopp.features.passkeys.challenges import make_challenge, take_challenge
from fastopp.features.passkeys.library import check_enabled
from fastopp.features.passkeys.registering import (
    MAX_PASSKEYS,
    PasskeyRefused,
    add_passkey,
    get_passkey,
    list_passkeys,
    registration_options,
    remove_passkey,
    rename_passkey,
    verify_registration,
)
from fastopp.features.passkeys.relying_party import relying_party
from fastopp.web.answers import NO_STORE
from fastopp.web.forms import CleanText
from fastopp.web.templating import render

PAGE = "/account/passkeys"
UNNAMED = "Passkey"

router = APIRouter(prefix=PAGE, tags=["account"], include_in_schema=False, route_class=FreshRoute)

Name = Annotated[CleanText, Form(), Field(max_length=MAX_NAME)]


@router.get("")
async def show(request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: CurrentUser) -> Response:
    """The list."""
    check_enabled(runtime.settings)
    context = {"passkeys": await list_passkeys(session, user), "most": MAX_PASSKEYS}
    return render(request, "passkeys/list.html", context, headers=NO_STORE)


@router.post("")
async def remove(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    user: FreshUser,
    passkey: Annotated[uuid.UUID, Form()],
) -> Response:
    """Remove one. It is refused from now on."""
    check_enabled(runtime.settings)
    await remove_passkey(session, user, passkey, client_of(request), mail_of(request, runtime, session))
    return _redirect(PAGE)


@router.get("/new")
async def show_new(request: Request, runtime: RuntimeDep, user: FreshUser) -> Response:
    """The form for a new one."""
    check_enabled(runtime.settings)
    return _new(request)


@router.get("/{passkey}/name")
async def show_name(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: PresentUser, passkey: uuid.UUID
) -> Response:
    """The form for another name."""
    check_enabled(runtime.settings)
    context = {"passkey": await get_passkey(session, user, passkey)}
    return render(request, "passkeys/name.html", context, headers=NO_STORE)


@router.post("/{passkey}/name")
async def rename(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    user: PresentUser,
    passkey: uuid.UUID,
    name: Name = "",
) -> Response:
    """Rename one."""
    check_enabled(runtime.settings)
    await rename_passkey(session, user, passkey, name.strip() or UNNAMED, client_of(request))
    return _redirect(PAGE)


@router.post("/options")
async def options(request: Request, runtime: RuntimeDep, user: DetachedFreshUser) -> Response:
    """The options of `navigator.credentials.create()`, with a new challenge."""
    check_enabled(runtime.settings)
    site = relying_party(request, runtime.settings)
    challenge = make_challenge(request, "register", str(user.id), runtime.clock)
    async with runtime.database.read() as session:
        known = await list_passkeys(session, user)
        session.expunge_all()
    text = await registration_options(user, known, challenge, runtime.title, site.id)
    return Response(text, media_type="application/json", headers=NO_STORE)


@router.post("/new")
async def add(
    request: Request, runtime: RuntimeDep, user: DetachedFreshUser, name: Name = "", credential: Credential = ""
) -> Response:
    """Add the passkey that the browser has made, or show the form again with the reason why not."""
    check_enabled(runtime.settings)
    site = relying_party(request, runtime.settings)
    challenge = take_challenge(request, "register", str(user.id), runtime.clock)
    answer = read_credential(credential)
    try:
        if challenge is None or answer is None:
            raise PasskeyRefused
        row = await verify_registration(runtime, user, answer, challenge, site, name.strip() or UNNAMED)
        async with runtime.database.transaction() as session:
            await add_passkey(session, user, row, client_of(request), mail_of(request, runtime, session))
    except Unavailable:
        raise
    except FastOppError as error:
        return _new(request, name, error)
    return _redirect(PAGE)


def _new(request: Request, name: str = "", error: FastOppError | None = None) -> Response:
    context = {"name": name, "error": str(error) if error else ""}
    status_code = error.status if error else 200
    return render(request, "passkeys/new.html", context, status_code=status_code, headers=NO_STORE)


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303, headers=NO_STORE)
