"""/invitation: the page of an invitation's link."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.errors import NotFound
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import OptionalUser
from fastopp.features.accounts.password_policy import hash_new_password
from fastopp.features.accounts.passwords import PasswordRejected
from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.accounts.sign_in_steps import complete_sign_in
from fastopp.features.sign_up import invitations
from fastopp.features.sign_up.forms import NameAndPassword
from fastopp.web.answers import NO_STORE
from fastopp.web.checked_form import CheckedForm, FormOf
from fastopp.web.templating import render

router = APIRouter(prefix="/invitation", include_in_schema=False)


class AcceptForm(NameAndPassword):
    """The form for an invited person, with the link's token."""

    token: str = ""


@router.get("")
async def show(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: OptionalUser, token: str = ""
) -> Response:
    """The form for name and password. It changes nothing: programs that scan mails open links too."""
    require_invitations(runtime)
    return _page(request, CheckedForm(), token, await invitations.find(session, token, runtime.clock))


@router.post("")
async def accept(request: Request, runtime: RuntimeDep, form: FormOf[AcceptForm]) -> Response:
    """Create the account, and sign in."""
    require_invitations(runtime)
    token, client = str(form.values.get("token", "")), client_of(request)
    async with runtime.database.read() as session:
        invitation = await invitations.find(session, token, runtime.clock)
    if form.data is None:
        return _page(request, form, token, invitation)
    name = form.data.name
    try:
        hashed = await hash_new_password(form.data.password, invitation.email, name)
    except PasswordRejected as error:
        form.errors["password"] = str(error)
        return _page(request, form, token, invitation)
    async with runtime.database.transaction() as session:
        user = await invitations.accept(session, token, hashed, name, client, runtime.clock)
    return await complete_sign_in(request, user, "", runtime)


def require_invitations(runtime: Runtime) -> None:
    """Raise NotFound while SIGN_UP is closed."""
    if runtime.settings.of(AccountSettings).sign_up == "closed":
        raise NotFound(hint="Set SIGN_UP to `invite` or `open`.")


def _page(request: Request, form: CheckedForm[AcceptForm], token: str, invitation: invitations.Invitation) -> Response:
    context = {"form": form, "token": token, "email": invitation.email}
    return render(request, "accounts/invitation.html", context, status_code=form.status_code, headers=NO_STORE)
