"""Dependencies for an operation that works with the database by itself, or waits for something else meanwhile.

The usual `SuperUser` and `Operator` belong to the request's own transaction, which stays open until the handler
is done. A migration or an initialisation would wait for that transaction, and it for them; and on SQLite no process
could write while a password is hashed in it. These check with a short session and close it before the handler begins.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from fastopp.core.dependencies import RuntimeDep
from fastopp.features.accounts.current_user import (
    current_user,
    operator,
    operator_door,
    staff_door,
    staff_user,
    superuser,
    superuser_door,
)
from fastopp.features.accounts.models import User
from fastopp.web.doors import guarded_by


@guarded_by(superuser_door)
async def _detached_superuser(request: Request, runtime: RuntimeDep) -> User:
    async with runtime.database.read() as session:
        return await superuser(await current_user(request, session, runtime.settings, runtime.clock))


@guarded_by(operator_door)
async def _detached_operator(request: Request, runtime: RuntimeDep) -> User | None:
    async with runtime.database.read() as session:
        return await operator(request, session, runtime.database, runtime.settings, runtime.clock)


@guarded_by(staff_door)
async def _detached_staff_user(request: Request, runtime: RuntimeDep) -> User:
    async with runtime.database.read() as session:
        return await staff_user(await current_user(request, session, runtime.settings, runtime.clock))


DetachedStaffUser = Annotated[User, Depends(_detached_staff_user)]
DetachedSuperUser = Annotated[User, Depends(_detached_superuser)]
DetachedOperator = Annotated[User | None, Depends(_detached_operator)]
