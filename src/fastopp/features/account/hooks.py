"""The part that apps have in an account: their `accounts.py` exports and deletes what belongs to a user.

    async def export_account(session: AsyncSession, user: User) -> dict[str, Any]:
        return {"orders": [...]}

    async def delete_account(session: AsyncSession, user: User) -> None:
        await session.exec(delete(Order).where(col(Order.user_id) == user.id))

Both are optional. `export_account` may also be an asynchronous generator of rows, for what is too much for memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.apps import App, BrokenPart
from fastopp.features.accounts.models import User

PART = "accounts"

Exported = Mapping[str, Any] | AsyncIterator[Mapping[str, Any]]
"""JSON values by name, or rows one after the other. UUIDs, dates and the like are written as texts."""

ExportAccount = Callable[[AsyncSession, User], Awaitable[Mapping[str, Any]] | AsyncIterator[Mapping[str, Any]]]
DeleteAccount = Callable[[AsyncSession, User], Awaitable[None]]


class AppExport(NamedTuple):
    """An app's name and its function."""

    app: str
    export: ExportAccount


def find_exports(apps: Iterable[App]) -> list[AppExport]:
    """Return the `export_account` of the apps. Raises BrokenPart."""
    return [AppExport(app.name, cast("ExportAccount", found)) for app, found in _functions(apps, "export_account")]


def find_deletions(apps: Iterable[App]) -> list[DeleteAccount]:
    """Return the `delete_account` of the apps. Raises BrokenPart."""
    return [cast("DeleteAccount", found) for _, found in _functions(apps, "delete_account")]


def _functions(apps: Iterable[App], name: str) -> Iterator[tuple[App, Callable[..., Any]]]:
    for app in apps:
        function = getattr(app.part(PART), name, None)
        if function is not None and not callable(function):
            raise BrokenPart(f"{app.package}.{PART}: `{name}` is not a function.")
        if function is not None:
            yield app, function
