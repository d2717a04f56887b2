"""/static: the framework's files, each app's, and the project's own, as one tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from fastopp.web.templating import FRAMEWORK_STATIC

FOR_EVER = "public, max-age=31536000, immutable"
A_WHILE = "public, max-age=300"


class StaticFolders(StaticFiles):
    """Files of several folders under one address; the first folder that has a file wins.

    An address with `?v=`, as `static_url` makes it, changes with the content and is cached for ever.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(directory=folders[0], check_dir=False)
        self.all_directories = list(folders)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with the file, or 404."""
        response = await super().get_response(path, scope)
        versioned = scope.get("query_string", b"").startswith(b"v=")
        response.headers.setdefault("Cache-Control", FOR_EVER if versioned else A_WHILE)
        return response


def install(app: FastAPI, folders: Sequence[Path]) -> None:
    """Serve `folders` at /static, and the icon that browsers ask for unasked."""
    app.mount("/static", StaticFolders(folders), name="static")

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> FileResponse:
        """The logo: every browser of today takes SVG."""
        return FileResponse(FRAMEWORK_STATIC / "favicon.svg", headers={"Cache-Control": A_WHILE})
