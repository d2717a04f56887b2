"""/login/passkey: sign in with a passkey. It counts as both factors, since its device checks who uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from fastopp.core.dependencies import RuntimeDep
from fastopp.errors import FastOppError, Unavailable
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.landing import safe_next
from fastopp.features.accounts.sign_in_steps import complete_sign_in, find_pending
from fastopp.features.passkeys.answer import Credential, read_credential
from fastopp.features.passkeys.challenges import make_challenge, take_challenge
from fastopp.features.passkeys.library import check_enabled
from fastopp.features.passkeys.relying_party import relying_party
from fastopp.features.passkeys.signing_in import PasskeyUnknown, find_owner, request_options
from fastopp.web.answers import NO_STORE
from fastopp.web.templating import render

router = APIRouter(prefix="/login/passkey", tags=["accounts"], include_in_schema=False)


@router.get("")
async def show(request: Request, runtime: RuntimeDep, next_page: Annotated[str, Query(alias="next")] = "") -> Response:
    """The page for accounts that need a second factor and have a passkey."""
    check_enabled(runtime.settings)
    pending = await find_pending(request, runtime)
    return _page(request, pending.next_page if pending else next_page)


@router.post("/options")
async def options(request: Request, runtime: RuntimeDep) -> Response:
    """The options of `navigator.credentials.get()`, with a new challenge."""
    check_enabled(runtime.settings)
    site = relying_party(request, runtime.settings)
    challenge = make_challenge(request, "sign in", "", runtime.clock)
    text = await request_options(challenge, site.id)
    return Response(text, media_type="application/json", headers=NO_STORE)


@router.post("")
async def sign_in(
    request: Request,
    runtime: RuntimeDep,
    credential: Credential = "",
    next_page: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Sign in with the browser's answer, or show the page again with the reason why not."""
    check_enabled(runtime.settings)
    site = relying_party(request, runtime.settings)
    challenge = take_challenge(request, "sign in", "", runtime.clock)
    answer = read_credential(credential)
    try:
        if challenge is None or answer is None:
            raise PasskeyUnknown
        user = await find_owner(runtime, answer, challenge, site, client_of(request))
        return await complete_sign_in(request, user, next_page, runtime, proven=True)
    except Unavailable:
        raise
    except FastOppError as error:
        return _page(request, next_page, error.status, str(error), error.headers)


def _page(
    request: Request,
    next_page: str,
    status_code: int = 200,
    error: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    context = {"next": safe_next(next_page, request) or "", "error": error}
    sent = NO_STORE | dict(headers or {})
    return render(request, "passkeys/sign_in.html", context, status_code=status_code, headers=sent)
