"""Remove what was cached."""

from __future__ import annotations

from typing import Annotated

import typer

from fastopp.cache.errors import StoreUnavailable
from fastopp.console.output import command, fail, say
from fastopp.console.project import load_project
from fastopp.core.runtime import open_runtime

app = typer.Typer(help="The cache: remove what was cached.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The cache: remove what was cached."""  # a callback, so that Typer keeps the name of the only command


@app.command()
@command
async def clear(
    *,
    tag: Annotated[list[str] | None, typer.Option(help="Only values with this tag. Can be repeated.")] = None,
) -> None:
    """Remove all cached values, or invalidate those with a tag. Other processes follow within a second."""
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime:
        cache = runtime.shared_cache
        if not cache.enabled:
            fail("CACHE_URL is off: nothing is cached.")
        try:
            if tag:
                await cache.invalidate(*tag)
                say(f"Invalidated: {', '.join(tag)}.")
            else:
                say(f"{await cache.clear() or 0:,} cached values were removed.")
        except StoreUnavailable as error:
            fail(f"The cache does not answer: {error}")
