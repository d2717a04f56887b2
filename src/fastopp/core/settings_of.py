"""The settings of an app as a dependency of handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends

from fastopp.core.dependencies import RuntimeDep
from fastopp.settings.app_settings import AppSettings

Kind = TypeVar("Kind", bound=AppSettings)

if TYPE_CHECKING:
    SettingsOf = Annotated[Kind, None]
else:

    class SettingsOf:
        """Dependency: the settings of an app, as in `SettingsOf[ShopSettings]`."""

        def __class_getitem__(cls, kind: type[AppSettings]) -> Any:  # noqa: ANN401 - an annotation
            return Annotated[kind, Depends(_reader(kind))]


@cache  # one function for each class, so that a request calls it once
def _reader(kind: type[Kind]) -> Callable[..., Awaitable[Kind]]:
    async def get_app_settings(runtime: RuntimeDep) -> Kind:
        return runtime.settings.of(kind)

    return get_app_settings
