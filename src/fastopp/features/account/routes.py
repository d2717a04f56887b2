"""/account: the profile, the links of features and apps, and the page that asks for the password again."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, Field

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError, Unavailable
from fastopp.features.account import address_routes, data_routes, password_routes, session_routes, token_routes
from fastopp.features.account.pages import account_page, confirm_password, redirect
from fastopp.features.account.sections import find_account_links
from fastopp.features.accounts import audit
from fastopp.features.accounts.current_user import CurrentUser, PresentUser, session_of
from fastopp.features.accounts.fresh import CONFIRM_PAGE, DetachedUser
from fastopp.features.accounts.landing import safe_next
from fastopp.features.accounts.models import MAX_NAME, User
from fastopp.features.accounts.passwords import MAX_PASSWORD
from fastopp.features.accounts.sign_in_steps import complete_sign_in
from fastopp.web.checked_form import CheckedForm, FormOf
from fastopp.web.forms import CleanText
from fastopp.web.languages import Message, find_zone

PAGE: Final = "/account"
MAX_ZONE: Final = 64
MAX_LANGUAGE: Final = 35
NOT_OFFERED: Final = Message("Choose one of the options.")

router = APIRouter(include_in_schema=False)


class ProfileForm(BaseModel):
    """The name and the preferences of a user. What is left empty is removed."""

    name: Annotated[CleanText | None, Field(max_length=MAX_NAME)] = None
    time_zone: Annotated[CleanText | None, Field(max_length=MAX_ZONE)] = None
    language: Annotated[CleanText | None, Field(max_length=MAX_LANGUAGE)] = None


@router.get(PAGE)
async def show_profile(request: Request, runtime: RuntimeDep, user: CurrentUser) -> Response:
    """The page, with its form as it is stored."""
    form = CheckedForm[ProfileForm](
        {"name": user.name or "", "time_zone": user.time_zone or "", "language": user.language or ""}
    )
    return await _profile(request, runtime, user, form)


@router.post(PAGE)
async def change_profile(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: PresentUser, form: FormOf[ProfileForm]
) -> Response:
    """Store the form, or show it again with its errors."""
    wanted = form.data
    offered = runtime.settings.offered_languages
    if wanted is not None and wanted.time_zone is not None and find_zone(wanted.time_zone) is None:
        form.errors["time_zone"] = NOT_OFFERED
    if wanted is not None and wanted.language is not None and wanted.language not in offered:
        form.errors["language"] = NOT_OFFERED
    if wanted is None or form.errors:
        return await _profile(request, runtime, user, form)
    values = wanted.model_dump(exclude=None if len(offered) > 1 else {"language"})
    changes = {name: value for name, value in values.items() if value != getattr(user, name)}
    if changes:
        row = await session.get_one(User, user.id)
        for name, value in changes.items():
            setattr(row, name, value)
        session.add(row)
        await audit.record(session, row, "update", "User", row.id, changes, request)
    return redirect(f"{PAGE}?done=profile")


@router.get(CONFIRM_PAGE)
async def show_confirm(
    request: Request, runtime: RuntimeDep, user: CurrentUser, next_page: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """The page that asks for the password again."""
    return _confirm(request, runtime, user, next_page)


@router.post(CONFIRM_PAGE)
async def confirm(
    request: Request,
    runtime: RuntimeDep,
    user: DetachedUser,
    password: Annotated[str, Form(max_length=MAX_PASSWORD)] = "",
    next_page: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Begin another session in place of the browser's, which makes its sign-in a fresh one.

    An account with a second factor enters a code too.
    """
    try:
        await confirm_password(request, runtime, user, password)
        return await complete_sign_in(request, user, safe_next(next_page, request) or PAGE, runtime)
    except Unavailable:
        raise
    except FastOppError as error:
        return _confirm(request, runtime, user, next_page, error)


def _confirm(
    request: Request, runtime: Runtime, user: User, next_page: str, error: FastOppError | None = None
) -> Response:
    context = {"error": error, "next": safe_next(next_page, request) or ""}
    status = 200 if error is None else error.status
    return account_page(
        request, runtime, "account/confirm.html", context, status_code=status, headers=error.headers if error else {}
    )


async def _profile(request: Request, runtime: Runtime, user: User, form: CheckedForm[ProfileForm]) -> Response:
    context: dict[str, Any] = {
        "form": form,
        "account": user,
        "zones": await to_thread.run_sync(time_zones),
        "languages": await to_thread.run_sync(_named, runtime.settings.offered_languages),
        "sections": find_account_links(runtime.apps, runtime.settings),
        "signed_in_at": getattr(session_of(request), "created_at", None),
    }
    return account_page(request, runtime, "account/profile.html", context, status_code=form.status_code)


@cache
def time_zones() -> tuple[str, ...]:
    """Return the names of time zones that people choose: places, and UTC. Reads the disk."""
    from zoneinfo import available_timezones  # noqa: PLC0415 - beside its only use

    others = ("Etc/", "SystemV/", "US/", "posix/", "right/")
    return (
        "UTC",
        *sorted(name for name in available_timezones() if "/" in name and not name.startswith(others)),
    )


@cache  # as many as settings name
def _named(languages: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return languages with their names in themselves. With one, there is nothing to choose."""
    if len(languages) == 1:
        return ()
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415 - 80 ms, where there is a choice

    def name_of(language: str) -> str:
        try:
            return str(Locale.parse(language, sep="-").get_display_name() or language)
        except (UnknownLocaleError, ValueError):
            return language

    return tuple((language, name_of(language)) for language in languages)


for part in (address_routes, password_routes, session_routes, token_routes, data_routes):
    router.include_router(part.router)
