"""Answers are compressed for clients that accept it, and tokens do not occur twice in them."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from fastopp.web import csrf_tokens
from fastopp.web.middleware.compression import CompressionMiddleware
from tests.services.web_project import BROWSER, client, make_app

LONG = "a long text. " * 1000
TOKEN = re.compile(r'(?:name="csrf_token" value|name="csrf-token" content)="([^"]+)"')


def compressed_app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(CompressionMiddleware)

    @app.get("/text")
    async def text(size: int = 2000) -> Response:
        return PlainTextResponse("x" * size, headers={"Vary": "Cookie"})

    @app.get("/picture")
    async def picture() -> Response:
        return Response(b"x" * 5000, media_type="image/webp")

    @app.get("/packed")
    async def packed() -> Response:
        return Response(zlib.compress(b"x"), media_type="text/plain", headers={"Content-Encoding": "deflate"})

    @app.get("/stream")
    async def stream() -> Response:
        async def events():
            for number in range(3):
                yield f"data: {number}\n\n".encode() * 100

        return StreamingResponse(events(), media_type="text/event-stream")

    return app


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("deflate", None),
        ("identity", None),
        ("zstd;q=0, br;q=0, gzip", "gzip"),
        ("*", "zstd"),
        (",;=;q=zz,", None),
    ],
)
async def test_the_best_encoding_that_is_accepted_is_used(accepted, chosen):
    async with client(compressed_app(), accept_encoding=accepted) as browser:
        answer = await browser.get("/text")
        assert answer.headers.get("content-encoding") == chosen
        assert answer.text == "x" * 2000
        assert answer.headers["vary"].split(", ") == ["Cookie", "Accept-Encoding"]


async def test_small_packed_and_binary_answers_and_streams_stay():
    async with client(compressed_app(), accept_encoding="gzip") as browser:
        for path in ("/text?size=100", "/picture", "/stream"):
            answer = await browser.get(path)
            assert "content-encoding" not in answer.headers, path
        assert (await browser.get("/packed")).text == "x"


async def test_a_page_takes_a_quarter_and_less(tmp_path: Path):
    sizes = {}
    for accepted in ("identity", "zstd", "br", "gzip"):
        browser = client(make_app(tmp_path), accept_encoding=accepted, **BROWSER)
        async with browser, browser.stream("GET", "/sign-in-form") as answer:
            sizes[accepted] = sum([len(part) async for part in answer.aiter_raw()])
    assert max(sizes["zstd"], sizes["br"], sizes["gzip"]) < sizes["identity"] * 0.4


async def test_each_page_masks_the_token_differently(tmp_path: Path):
    async with client(make_app(tmp_path), **BROWSER) as browser:
        await browser.post("/enter")
        pages = [(await browser.get("/sign-in-form")).text for _ in range(3)]
        tokens = [
            set(re.findall(r'(?:name="csrf_token" value|name="csrf-token" content)="([^"]+)"', page)) for page in pages
        ]
        assert [len(each) for each in tokens] == [1, 1, 1]
        assert len(set.union(*tokens)) == 3
        halves = [base64.urlsafe_b64decode(token)[:32] for each in tokens for token in each]
        assert len(set(halves)) == 3
        for each in tokens:
            answer = await browser.post("/form", data={"word": "a", "csrf_token": each.pop()})
            assert answer.status_code == 200


@pytest.mark.parametrize("given", ["", "=", "AA==", "ä", "a" * 1_000_000, base64.urlsafe_b64encode(bytes(64)).decode()])
def test_other_texts_are_no_token(given):
    assert not csrf_tokens.is_token_of({csrf_tokens.SESSION_KEY: "k" * 32}, given)
    assert not csrf_tokens.is_token_of({}, given)


def test_the_mask_is_the_requests():
    request = Request({"type": "http", "session": {}, "headers": []})
    assert csrf_tokens.token(request) == csrf_tokens.token(request)
    assert csrf_tokens.is_token_of(request.session, csrf_tokens.token(request))
