"""/static: the framework's files, each app's, and the project's own, as one tree."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from starlette.datastructures import Headers
from starlette.responses import FileResponse as StarletteFileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOR_EVER = "public, max-age=31536000, immutable"
A_WHILE = "public, max-age=300"

COMPRESSIBLE = ("text/", "application/javascript", "application/json", "image/svg+xml")
COMPILED = "__pycache__"
UPLOADS = "uploads"  # in the project's own folder
MAX_COMPRESSED = 4 * 1024 * 1024  # bytes of a file; larger ones are no stylesheets or scripts


class StaticFolders(StaticFiles):
    """Files of several folders under one address; the first folder that has a file wins.

    An address with `?v=`, as `static_url` makes it, changes with the content and is cached for ever. Text is sent
    compressed, by a build (`compress_ahead`) or when first asked for; that is kept, as it is little and a serverless
    share of a core is less.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(directory=folders[-1], check_dir=False)  # the framework's, which is there
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


def compress_ahead(folders: Iterable[Path]) -> int:
    """Keep a compressed copy beside each text file of these folders, for a disk that cannot be written to later.

    Uploads are left out. Returns how many there are.
    """
    count = 0
    for folder in folders:
        for path in folder.rglob("*"):
            names = path.relative_to(folder).parts
            if names[0] == UPLOADS or COMPILED in names or not _is_compressible(path):
                continue
            copy = _copy_of(path)
            copy.parent.mkdir(exist_ok=True)
            _write_whole(copy, _gzipped(path))
            count += 1
    return count


def _write_whole(path: Path, data: bytes) -> None:
    # At once, as a server may be reading it.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _is_compressible(path: Path) -> bool:
    kind = mimetypes.guess_type(path.name)[0] or "text/plain"  # as FileResponse says
    return path.is_file() and kind.startswith(COMPRESSIBLE) and path.stat().st_size <= MAX_COMPRESSED


def _copy_of(path: Path) -> Path:
    # Where Python keeps what it has compiled: git and wheels leave it out.
    return path.parent / COMPILED / f"{path.name}.gz"


def _compress(path: str) -> bytes:
    """The file, compressed: the copy of a build, unless the file is newer."""
    file = Path(path)
    copy = _copy_of(file)
    with suppress(OSError):
        if copy.stat().st_mtime >= file.stat().st_mtime:
            return copy.read_bytes()
    return _gzipped(file)


def _gzipped(path: Path) -> bytes:
    import gzip  # noqa: PLC0415 - not needed where all is compressed ahead

    return gzip.compress(path.read_bytes(), mtime=0)


def install(app: FastAPI, folders: Sequence[Path]) -> None:
    """Serve `folders` at /static, and the icon that browsers ask for unasked."""
    app.mount("/static", StaticFolders(folders), name="static")

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> FileResponse:
        """The icon of the site: every browser of today takes SVG."""
        icon = next(file for folder in folders if (file := folder / "favicon.svg").is_file())
        return FileResponse(icon, headers={"Cache-Control": A_WHILE})
