"""Python in which `await` works at the top level, with the project's names."""

from __future__ import annotations

import ast
import asyncio
import code
import inspect
from collections.abc import Mapping
from types import CodeType
from typing import Any

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.main import default_registry

from fastopp.core.runtime import Runtime


def project_names(runtime: Runtime, session: AsyncSession) -> dict[str, Any]:
    """Return what a shell and a script have at hand: the models by name, and the rest."""
    models = {mapper.class_.__name__: mapper.class_ for mapper in default_registry.mappers}
    return models | {"session": session, "settings": runtime.settings, "runtime": runtime, "select": select}


async def run_source(source: str, filename: str, names: Mapping[str, Any]) -> None:
    """Run a script, which may `await` at the top level."""
    compiled = compile(source, filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, dict(names))  # noqa: S307 - the user's script
    if inspect.isawaitable(result):
        await result


class AwaitingConsole(code.InteractiveConsole):
    """Python's console. Each line with an `await` runs on the same event loop."""

    def __init__(self, names: dict[str, Any], runner: asyncio.Runner) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._runner = runner
        self._compiled: CodeType | None = None
        names["__run__"] = self._run

    def runcode(self, code: CodeType) -> None:
        """Run what was typed; Python's own console shows its errors."""
        self._compiled = code
        super().runcode(compile("__run__()", "<console>", "exec"))

    def _run(self) -> None:
        assert self._compiled is not None  # noqa: S101 - runcode has set it
        result = eval(self._compiled, self.locals)  # noqa: S307 - typed by the user
        if inspect.iscoroutine(result):
            self._runner.run(result)
