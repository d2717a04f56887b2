"""/static is one tree of several folders, cached for ever under the addresses that pages use."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import httpx

from fastopp.web.statics import compress_ahead
from fastopp.web.templating import FRAMEWORK_STATIC
from tests.services.web_project import client, make_app


async def test_the_project_may_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "logo.svg").write_text("<svg>mine</svg>")
    async with client(make_app(tmp_path)) as browser:
        assert (await browser.get("/static/logo.svg")).text == "<svg>mine</svg>"
        assert (await browser.get("/static/theme.js")).content == (FRAMEWORK_STATIC / "theme.js").read_bytes()


async def test_a_versioned_address_is_kept_for_ever(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as browser:
        assert "immutable" in (await browser.get("/static/app.js?v=1")).headers["cache-control"]
        assert "immutable" not in (await browser.get("/static/app.js")).headers["cache-control"]


async def test_text_is_compressed_for_those_who_can(tmp_path: Path) -> None:
    async with client(make_app(tmp_path), accept_encoding="gzip") as browser:
        async with browser.stream("GET", "/static/app.css") as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert gzip.decompress(raw) == (FRAMEWORK_STATIC / "app.css").read_bytes()
        again = await browser.get("/static/app.css", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
    async with client(make_app(tmp_path), accept_encoding="identity") as plain:
        assert "content-encoding" not in (await plain.get("/static/app.css")).headers
        part = await plain.get("/static/app.css", headers={"range": "bytes=0-3"})
        assert part.status_code == 206


async def test_a_changed_file_is_compressed_anew(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "a.css").write_text("a{}")
    async with client(make_app(tmp_path), accept_encoding="gzip") as browser:
        assert (await browser.get("/static/a.css")).text == "a{}"
        (folder / "a.css").write_text("b{}b{}")
        assert (await browser.get("/static/a.css")).text == "b{}b{}"


async def test_what_a_build_has_compressed_is_sent(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    (folder / "uploads").mkdir(parents=True)
    style, copy = folder / "a.css", folder / "__pycache__/a.css.gz"
    style.write_text("a{}")
    (folder / "uploads/b.css").write_text("b{}")
    (folder / "c.png").write_bytes(b"png")
    assert compress_ahead([folder]) == 1
    assert gzip.decompress(copy.read_bytes()) == b"a{}"
    copy.write_bytes(gzip.compress(b"from the build"))
    async with client(make_app(tmp_path), accept_encoding="gzip") as browser:
        assert (await browser.get("/static/a.css")).text == "from the build"
    async with client(make_app(tmp_path), accept_encoding="identity") as plain:
        assert (await plain.get("/static/a.css")).text == "a{}"
    style.write_text("newer{}")
    os.utime(copy, (0, 0))
    async with client(make_app(tmp_path), accept_encoding="gzip") as browser:
        assert (await browser.get("/static/a.css")).text == "newer{}"
    assert compress_ahead([folder]) == 1, "copies are not compressed again"


async def test_nothing_outside_the_folders(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    async with client(make_app(tmp_path)) as browser:
        for path in (
            "/static/../secret.txt",
            "/static/%2e%2e/secret.txt",
            "/static//etc/passwd",
            "/static/",
            "/static/a%00",
        ):
            answer = await browser.send(httpx.Request("GET", f"http://testserver/static/{path}"))
            assert answer.status_code == 404, path


async def test_the_icon(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as browser:
        assert (await browser.get("/favicon.ico")).headers["content-type"] == "image/svg+xml"


def test_the_stylesheet_is_small() -> None:
    assert (FRAMEWORK_STATIC / "app.css").stat().st_size < 100_000
