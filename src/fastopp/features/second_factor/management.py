"""/oppman/reset-factor: a superuser resets the factors of an account whose owner has lost them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import SuperUser
from fastopp.features.accounts.factors import mail_of, reset_factors
from fastopp.features.accounts.management import Email
from fastopp.features.accounts.service import get_user
from fastopp.web.answers import OperationRoute, outcome
from fastopp.web.api_docs import problems

router = APIRouter(
    prefix="/oppman", tags=["oppman"], route_class=OperationRoute, responses=problems(400, 401, 403, 404, 422, 503)
)


@router.post("/reset-factor", summary="Reset the factors of an account")
async def reset_factor(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, superuser: SuperUser, email: Email
) -> Response:
    """Remove its second factor, recovery codes and passkeys, and end its sessions."""
    user = await get_user(session, email)
    mail = mail_of(request, runtime, session)
    await reset_factors(session, user, by=superuser, client=client_of(request), mail=mail)
    return outcome(request, f"{user.email} signs in with the password alone now, and is signed out everywhere.")
