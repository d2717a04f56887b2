"""Complete a sign-in, by way of the step that a feature or an app demands of some accounts.

Who has shown to be the owner of an account, by a password, a mailed link or another site's word, goes to
`complete_sign_in`. It signs the browser in, unless a step is demanded. Then the browser's signed session holds a note
for five minutes, and the browser goes to the page of the step. That page takes the note with `find_pending`, and ends
with `complete_sign_in(…, proven=True)`.

A feature or an app declares a step by a module `sign_in_step.py` with the functions of `SignInStep`. It is imported
when a user signs in.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import NamedTuple, Protocol, cast

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette import status

from fastopp.core.features import find_features
from fastopp.core.runtime import Runtime
from fastopp.features.accounts.client import Client, client_of
from fastopp.features.accounts.landing import page_after_sign_in, safe_next
from fastopp.features.accounts.models import User
from fastopp.features.accounts.sessions import begin_session
from fastopp.features.accounts.sign_in import may_sign_in
from fastopp.features.accounts.tokens import fingerprint_fits, password_fingerprint
from fastopp.web.answers import NO_STORE

PART = "sign_in_step"
KEY = "pending_sign_in"  # in the browser's session
LIFETIME = 5 * 60  # seconds
MAX_NEXT = 500  # characters of an address to return to; a cookie holds 4 KB


class SignInStep(Protocol):
    """The functions of a `sign_in_step.py`."""

    async def page_for(self, runtime: Runtime, user: User) -> str | None:
        """Return the path of the page where this account has to prove more; None if it need not."""

    async def check_code(self, runtime: Runtime, user: User, code: str, client: Client) -> None:
        """Check a program that has sent the right password, and perhaps a code. Raises what is to be answered."""


class PendingSignIn(NamedTuple):
    """A sign-in that waits for its step."""

    user: User
    next_page: str


async def complete_sign_in(
    request: Request, user: User, next_page: str, runtime: Runtime, *, proven: bool = False
) -> Response:
    """Sign the browser in and redirect it to `next_page`, or to the step that its account needs before.

    Parameters
    ----------
    next_page: the page to go to. Unless it is one of this site, a fitting page is chosen.
    proven: the step is done, or what was shown counts as both factors.

    Raises AccountChanged, DatabaseUnavailable.
    """
    page = None if proven else await _page_of_step(runtime, user)
    if page is not None:
        _keep_note(request, user, safe_next(next_page, request) or "", runtime)
        return _redirect(page)
    response = _redirect(page_after_sign_in(user, request, next_page))
    await begin_session(request, response, user, runtime)
    return response


async def find_pending(request: Request, runtime: Runtime) -> PendingSignIn | None:
    """Return the browser's sign-in that waits for its step. None if there is none, or it is older than five minutes.

    None too if the account has got another password since, or may not sign in any more. Raises DatabaseUnavailable.
    """
    note = request.session.get(KEY)
    if not isinstance(note, dict):
        return None
    age = runtime.clock.time() - float(note["at"])
    if not 0 <= age < LIFETIME:
        forget_pending(request)
        return None
    async with runtime.database.read() as session:
        user = await session.get(User, uuid.UUID(note["user"]))
        if user is not None:
            session.expunge(user)
    if user is None or not may_sign_in(user, runtime.settings):
        return None
    if not fingerprint_fits(note["fingerprint"], user.hashed_password, runtime.settings):
        return None
    return PendingSignIn(user, note["next"])


def forget_pending(request: Request) -> None:
    """Give up the browser's sign-in that waits for its step."""
    request.session.pop(KEY, None)


async def check_program(request: Request, user: User, code: str, runtime: Runtime) -> None:
    """Check the code of a program that signs in with a password. Raises what the account's step raises."""
    for step in _steps(runtime):
        await step.check_code(runtime, user, code, client_of(request))


async def _page_of_step(runtime: Runtime, user: User) -> str | None:
    for step in _steps(runtime):
        if (page := await step.page_for(runtime, user)) is not None:
            return page
    return None


def _steps(runtime: Runtime) -> Iterator[SignInStep]:
    for app in (*find_features(), *runtime.apps):
        module = app.part(PART, "page_for")
        if module is not None:
            yield cast("SignInStep", module)


def _keep_note(request: Request, user: User, next_page: str, runtime: Runtime) -> None:
    # Signed as part of the session: the browser can read it, and cannot change it.
    request.session[KEY] = {
        "user": str(user.id),
        "fingerprint": password_fingerprint(user.hashed_password, runtime.settings),
        "at": runtime.clock.time(),
        "next": next_page if len(next_page) <= MAX_NEXT else "",
    }


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, status.HTTP_302_FOUND, headers=NO_STORE)
