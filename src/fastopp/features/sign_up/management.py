"""/oppman/invitations: invite, list and revoke."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import SuperUser
from fastopp.features.accounts.management import GROUPS, Email, Group, Role
from fastopp.features.accounts.models import AccountLink
from fastopp.features.mail.service import MailDep
from fastopp.features.sign_up import invitations
from fastopp.features.sign_up.invitation_routes import require_invitations
from fastopp.web.answers import NO_STORE, OperationRoute, is_htmx, outcome, prefers_html
from fastopp.web.api_docs import problems
from fastopp.web.templating import render

CHANGED = "invitations-changed"  # the event on which the page loads its list again

router = APIRouter(
    prefix="/oppman/invitations",
    tags=["oppman"],
    route_class=OperationRoute,
    responses=problems(400, 401, 403, 404, 409, 422, 503),
)


@router.get("", summary="Invitations that wait")
async def show(request: Request, runtime: RuntimeDep, session: PrimarySessionDep, superuser: SuperUser) -> Response:
    """The page, its list for HTMX, or JSON."""
    require_invitations(runtime)
    found = await invitations.list_invitations(session, runtime.clock)
    context = {
        "invitations": [describe(link) for link in found],
        "group_options": [("", "No group"), *((name, name) for name in GROUPS)],
        "days": invitations.DAYS,
        "longest": invitations.LONGEST,
        "mailed": runtime.settings.mail is not None,
    }
    headers = NO_STORE | {"Vary": "HX-Request, Accept"}
    if is_htmx(request):
        return render(request, "ops/_invitations.html", context, headers=headers)
    if prefers_html(request):
        return render(request, "ops/invitations.html", context, headers=headers)
    return JSONResponse({"invitations": jsonable_encoder(context["invitations"])}, headers=headers)


@router.post("", summary="Invite a person")
async def invite(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    mail: MailDep,
    superuser: SuperUser,
    email: Email,
    role: Annotated[Role, Form()] = "user",
    group: Group = None,
    days: Annotated[int, Form(ge=1, le=invitations.LONGEST)] = invitations.DAYS,
) -> Response:
    """Mail a link; where there is no mail, the answer contains it."""
    require_invitations(runtime)
    wanted = invitations.Invitation(email, role, group)
    client = client_of(request)
    sent = await invitations.invite(session, mail, wanted, days, runtime.clock, inviter=superuser, client=client)
    if sent.mailed:
        message = f"The invitation to {sent.email} is on its way."
        return outcome(request, message, refresh=CHANGED, keys={"email": sent.email})
    link = runtime.settings.site + sent.path
    message = f"This site has no mail. Give {sent.email} this link, which is shown this once."
    return outcome(
        request, message, refresh=CHANGED, context={"output": link}, keys={"email": sent.email, "link": link}
    )


@router.post("/{invitation_id}/revoke", summary="Revoke an invitation")
async def revoke(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, superuser: SuperUser, invitation_id: uuid.UUID
) -> Response:
    """Its link is refused from now on."""
    require_invitations(runtime)
    email = await invitations.revoke(session, invitation_id)
    await audit.record(session, superuser, "revoke", "AccountLink", invitation_id.hex, {"email": email}, request)
    return outcome(request, f"The invitation to {email} is revoked.", refresh=CHANGED)


def describe(link: AccountLink) -> dict[str, Any]:
    """An invitation without its secret."""
    details = link.details or {}
    granted = {name: details.get(name) for name in ("email", "role", "group")}
    return granted | {"id": link.id, "expires_at": link.expires_at, "created_at": link.created_at}
