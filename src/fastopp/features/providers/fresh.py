"""A fresh sign-in: what changes who may sign in needs more than a browser that was left open."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

from fastopp.core.dependencies import RuntimeDep
from fastopp.features.accounts.current_user import current_user, present_user, session_of, user_door
from fastopp.features.accounts.models import User
from fastopp.features.providers.errors import SignInStale
from fastopp.web.doors import guarded_by

FRESH_FOR = timedelta(minutes=15)


@guarded_by(user_door)
async def _fresh_user(request: Request, runtime: RuntimeDep) -> User:
    async with runtime.database.read() as session:
        user = await present_user(request, await current_user(request, session, runtime.settings, runtime.clock))
    row = session_of(request)
    if row is None or row.created_at <= runtime.clock.now() - FRESH_FOR:
        raise SignInStale
    return user


DetachedFreshUser = Annotated[User, Depends(_fresh_user)]
"""The user of a browser that signed in just now. No transaction is open when the handler begins."""
