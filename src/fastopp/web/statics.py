"""/static: the framework's files, each app's, and the project's own, as one tree."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from starlette.datastructures import Headers
from starlette.responses import FileResponse as StarletteFileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from fastopp.web.templating import FRAMEWORK_STATIC

FOR_EVER = "public, max-age=31536000, immutable"
A_WHILE = "public, max-age=300"

COMPRESSIBLE = ("text/", "application/javascript", "application/json", "image/svg+xml")
MAX_COMPRESSED = 4 * 1024 * 1024  # bytes of a file; larger ones are no stylesheets or scripts


class StaticFolders(StaticFiles):
    """Files of several folders under one address; the first folder that has a file wins.

    An address with `?v=`, as `static_url` makes it, changes with the content and is cached for ever. Text is sent
    compressed; what was compressed once is kept, as it is little and a serverless share of a core is less.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(directory=folders[0], check_dir=False)
        self.all_directories = list(folders)
        self._compressed: dict[str, tuple[float, bytes]] = {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with the file; HTTPException 404 when there is none."""
        response = await super().get_response(path, scope)
        request = Headers(scope=scope)
        if isinstance(response, StarletteFileResponse) and response.media_type is not None:
            text = response.media_type.startswith(COMPRESSIBLE)
            if text and "gzip" in request.get("accept-encoding", "") and "range" not in request:
                response = await self._smaller(response)
            if text:
                response.headers["Vary"] = "Accept-Encoding"
        versioned = scope.get("query_string", b"").startswith(b"v=")
        response.headers.setdefault("Cache-Control", FOR_EVER if versioned else A_WHILE)
        return response

    async def _smaller(self, response: StarletteFileResponse) -> Response:
        path, status = os.fspath(response.path), response.stat_result
        if status is None or status.st_size > MAX_COMPRESSED:
            return response
        known = self._compressed.get(path)
        if known is None or known[0] != status.st_mtime:
            known = (status.st_mtime, await to_thread.run_sync(_compress, path))
            self._compressed[path] = known
        headers = {name: response.headers[name] for name in ("etag", "last-modified")}
        return Response(known[1], headers={**headers, "Content-Encoding": "gzip"}, media_type=response.media_type)


def _compress(path: str) -> bytes:
    return gzip.compress(Path(path).read_bytes(), mtime=0)


def install(app: FastAPI, folders: Sequence[Path]) -> None:
    """Serve `folders` at /static, and the icon that browsers ask for unasked."""
    app.mount("/static", StaticFolders(folders), name="static")

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> FileResponse:
        """The logo: every browser of today takes SVG."""
        return FileResponse(FRAMEWORK_STATIC / "favicon.svg", headers={"Cache-Control": A_WHILE})
