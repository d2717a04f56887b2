"""/oppman/: the page for accounts and migrations. What its forms do is in user_management.py and migrations.py."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.features.accounts import service as accounts
from fastopp.features.accounts.current_user import SuperUser
from fastopp.features.accounts.management import GROUPS, NO_GROUP
from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.health.status import database_type
from fastopp.features.jobs.page import pages_work
from fastopp.web.answers import NO_STORE
from fastopp.web.templating import render

router = APIRouter(prefix="/oppman")


@router.get("/", include_in_schema=False)
async def dashboard(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, superuser: SuperUser
) -> Response:
    """The page."""
    settings = runtime.settings
    users, complete = await accounts.list_for_page(session)
    context = {
        "users": users,
        "complete": complete,
        "groups": GROUPS,
        "no_group": NO_GROUP,
        "group_options": [("", "No group"), *((name, name) for name in GROUPS)],
        # The password of a deactivated account cannot be used.
        "password_options": [(user.email, _label(user.email, user.is_superuser)) for user in users if user.is_active],
        "invitations": settings.of(AccountSettings).sign_up != "closed",
        "has_object_storage": settings.has_object_storage,
        "pages_work": pages_work(runtime),
        "again": False,
        "can_create_migrations": settings.platform.writable_root,
        "facts": {
            "Platform": f"{settings.platform.name} ({settings.environment})",
            "Database": f"{database_type(runtime.database.url)}, {runtime.database.url.masked}",
            "Uploaded files": str(settings.upload_dir),
            "Storage": type(runtime.storage).__name__,
            "Emergency access": "enabled" if settings.emergency_access_enabled else "disabled",
        },
    }
    return render(request, "ops/oppman.html", context, headers=NO_STORE)


def _label(email: str, is_superuser: bool) -> str:  # noqa: FBT001 - one account's two facts
    return f"{email} (superuser)" if is_superuser else email
