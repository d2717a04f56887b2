"""A plain FastAPI application that can be asked to break each of LeapCell's rules."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse

app = FastAPI()
MIB = 1024 * 1024
ticks: list[float] = []


def _tick() -> None:
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.01)


threading.Thread(target=_tick, daemon=True).start()


@app.get("/")
def home() -> dict[str, object]:
    # Without the folders that the sandbox shows there: those of a clone or an environment that lies below /tmp.
    mounts = [Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    shown = {path for mount in mounts for path in (mount, *mount.parents)}
    return {"pid": os.getpid(), "temp": sorted(path.name for path in Path("/tmp").iterdir() if path not in shown)}


@app.get("/kaithhealth")
def health() -> str:
    return "ok"


@app.get("/headers")
def headers(request: Request) -> dict[str, object]:
    return {"headers": dict(request.headers), "client": request.client.host if request.client else None}


@app.get("/environment")
def environment() -> dict[str, str]:
    return dict(os.environ)


@app.post("/write")
def write(path: str, size: int = 0) -> str:
    try:
        Path(path).write_text("x" * size or "written")
    except OSError as error:
        sys.stderr.write(f"OSError: {error}\n")
        return str(error)
    return "written"


@app.get("/lock")
def lock() -> str:
    try:
        multiprocessing.Lock()
    except OSError as error:
        sys.stderr.write(f"multiprocessing.Lock: SemLock: {error}\n")
        return f"refused: {error}"
    return "locked"


@app.post("/echo")
async def echo(request: Request) -> dict[str, int]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return {"size": size}


@app.get("/big")
def big(size: int, stream: bool = False) -> Response:
    if stream:
        return StreamingResponse((b"x" * 65536 for _ in range(size // 65536)), media_type="text/plain")
    return PlainTextResponse("x" * size)


@app.get("/events")
async def events(count: int, pause: float) -> Response:
    async def send() -> AsyncIterator[str]:
        for number in range(count):
            yield f"data: {number}\n\n"
            await asyncio.sleep(pause)

    return StreamingResponse(send(), media_type="text/event-stream")


@app.get("/head")
def large_head(size: int) -> Response:
    return Response(headers={f"x-large-{number}": "x" * 1000 for number in range(size // 1000)})


@app.api_route("/cached", methods=["GET", "HEAD"])
def cached(request: Request) -> Response:
    headers = {"ETag": '"1"'}
    if request.headers.get("if-none-match") == '"1"':
        return Response(status_code=304, headers=headers)
    return PlainTextResponse("x" * 1000, headers=headers)


@app.get("/slow")
async def slow(seconds: float) -> dict[str, object]:
    await asyncio.sleep(seconds)
    return {"pid": os.getpid()}


@app.get("/burn")
def burn(seconds: float) -> float:
    """Use this much processor time, and say how long it took."""
    begun = time.monotonic()
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    return time.monotonic() - begun


@app.get("/ticks")
def longest_gap() -> dict[str, float]:
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    return {"longest": max(gaps, default=0.0), "count": len(ticks)}


@app.post("/leak")
def leak(size: int) -> int:
    global leaked  # noqa: PLW0603 - it is a leak
    leaked = bytearray(os.urandom(1024)) * (size // 1024)
    return len(leaked)


@app.post("/flood")
def flood(lines: int) -> str:
    for number in range(lines):
        sys.stdout.write(f"flood {number}\n")
    sys.stdout.flush()
    return "flooded"


@app.post("/daemon")
def daemon() -> int:
    return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid


@app.post("/exit")
def leave(code: int) -> None:
    os._exit(code)


@app.get("/cookies")
def cookies() -> Response:
    response = Response("two", media_type="text/plain")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    while True:
        await websocket.send_text(await websocket.receive_text())
