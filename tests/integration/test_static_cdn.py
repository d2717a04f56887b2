"""Static files at a CDN: stored by a build, used by pages only when they are there, in a real bucket and over HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from fastopp.errors import FastOppError
from fastopp.features.static_files import commands
from fastopp.features.static_files.publishing import (
    NoCDN,
    NotPublished,
    StaticSet,
    static_settings,
    upload,
    verify,
)
from fastopp.storage.keys import PUBLISHED
from fastopp.storage.select import NoObjectStorage, open_object_storage
from fastopp.web.published import MANIFEST, NOTE, read_note
from fastopp.web.setup import static_folders
from fastopp.web.statics import FOR_EVER
from tests.services.checks_project import local, make_project, run_async
from tests.services.databases import url_on
from tests.services.ops_project import BROWSER, PRODUCTION, running, settings_of
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer

url = url_on("sqlite")


class Handler(SimpleHTTPRequestHandler):
    """A CDN: files for everyone."""

    origin = ""

    def end_headers(self) -> None:
        if self.origin:
            self.send_header("Access-Control-Allow-Origin", self.origin)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def cdn(rclone: RcloneServer) -> Iterator[str]:
    """The public address of a new bucket."""
    Handler.origin = ""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(rclone.folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{rclone.create_bucket()}"
        server.shutdown()


@pytest.fixture
def variables(rclone: RcloneServer, cdn: str) -> dict[str, str]:
    return {
        "STATIC_CDN_URL": cdn,
        "S3_ENDPOINT_URL": rclone.endpoint,
        "S3_ACCESS_KEY": ACCESS_KEY,
        "S3_SECRET_KEY": SECRET_KEY,
        "S3_BUCKET": cdn.rpartition("/")[2],
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with its own style sheet, which loads a font by its relative name."""
    folder = make_project(tmp_path / "project")
    (folder / "main.py").write_text("app = None\n")
    for name in ("site.css", "fonts/a.woff2", "uploads/secret.txt"):
        path = folder / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("@font-face { src: url(fonts/a.woff2) }" if name == "site.css" else name)
    monkeypatch.chdir(folder)
    return folder


def read_set(project: Path) -> StaticSet:
    return StaticSet.read(static_folders((), project))


async def test_pages_load_what_a_build_has_stored(
    url: str, project: Path, variables: dict[str, str], cdn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "find_project_apps", tuple)
    environ = PRODUCTION | {"STATIC_CDN_URL": cdn}
    async with running(url, tmp_path, environ) as site, site.client() as client:  # without a build
        page = await client.get("/login", headers=BROWSER)
        assert cdn not in page.text + page.headers["content-security-policy"]
        assert re.search(r'href="/static/site\.css\?v=', page.text)

    published, sent = await commands.publish(static_settings(variables))
    assert sent == len(published.files) > 10
    assert "site.css" in published.files
    assert not any(name.startswith("uploads") for name in published.files)
    assert (await commands.publish(static_settings(variables)))[1] == 0  # it is there

    async with running(url, tmp_path, environ) as site, site.client() as client:
        page = await client.get("/login", headers=BROWSER)
        policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
        assert re.search(r"(?:src|href)=\"/static/", page.text) is None
        found = re.findall(r'(?:src|href)="(http[^"]+)"', page.text)
        assert f"{published.address}site.css" in found
        assert f"{published.address}app.css" in found
        async with httpx.AsyncClient() as browser:
            for address in (*found, f"{published.address}fonts/a.woff2"):
                assert address.startswith(published.address)
                assert (await browser.get(address)).status_code == 200, address
        # This one folder, since others may have files at the same host.
        assert published.address.startswith(f"{cdn}/{PUBLISHED}/")
        assert published.address.endswith("/")
        for directive in ("script-src", "style-src", "font-src", "img-src"):
            assert published.address in policy[directive].split(), directive
        assert published.address not in policy["connect-src"] + policy["default-src"]
        assert (await client.get("/static/site.css")).status_code == 200  # for pages that are open

    at_home = settings_of(url, tmp_path, {"STATIC_CDN_URL": cdn})
    assert read_note(project, at_home) is None
    elsewhere = settings_of(url, tmp_path, PRODUCTION | {"STATIC_CDN_URL": "https://other.example/b"})
    assert read_note(project, elsewhere) is None
    (project / NOTE).write_text("{")
    assert read_note(project, settings_of(url, tmp_path, environ)) is None


async def test_objects_say_what_they_are_and_that_they_never_change(
    project: Path, variables: dict[str, str], rclone: RcloneServer
) -> None:
    settings = static_settings(variables)
    published, _ = await upload(read_set(project), settings)
    storage = open_object_storage(settings)
    for name, kind in (("app.css", "text/css"), ("app.js", "javascript"), ("favicon.svg", "image/svg+xml")):
        signed = await storage.presigned_get(f"{PUBLISHED}/{published.id}/{name}", expires=timedelta(minutes=1))
        async with httpx.AsyncClient() as client:
            answer = await client.get(signed)
        assert kind in answer.headers["content-type"]
        assert answer.headers["cache-control"] == FOR_EVER
    await storage.aclose()


async def test_old_sets_are_deleted_and_half_ones_are_no_sets(
    project: Path, variables: dict[str, str], rclone: RcloneServer
) -> None:
    settings, folder = static_settings(variables), rclone.bucket(variables["S3_BUCKET"]) / PUBLISHED
    sets = []
    for number in range(4):
        (project / "static/site.css").write_text(f"a {{ order: {number} }}")
        sets.append((await upload(read_set(project), settings, keep=2))[0].id)
    assert len(set(sets)) == 4
    assert {each.name for each in folder.iterdir() if any(each.rglob("*.css"))} == set(sets[2:])

    storage = open_object_storage(settings)
    await storage.delete(f"{PUBLISHED}/{sets[3]}/{MANIFEST}")
    await storage.aclose()
    _, sent = await upload(read_set(project), settings, keep=2)
    assert sent > 0
    assert (folder / sets[3] / MANIFEST).is_file()
    assert (folder / sets[2] / MANIFEST).is_file()


async def test_what_is_missing_or_wrong_is_not_used(
    project: Path,
    variables: dict[str, str],
    cdn: str,
    rclone: RcloneServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "find_project_apps", tuple)
    settings = static_settings(variables)
    with pytest.raises(NotPublished, match=r"404"):
        await verify(read_set(project), settings)
    published, _ = await commands.publish(settings)
    assert (project / NOTE).is_file()
    place = rclone.bucket(variables["S3_BUCKET"]) / PUBLISHED / published.id
    (place / "site.css").write_text("a {}")
    with pytest.raises(NotPublished, match=r"site\.css \(other content\)"):
        await commands.publish(settings)
    assert not (project / NOTE).exists()

    without_cdn = static_settings({name: value for name, value in variables.items() if name != "STATIC_CDN_URL"})
    with pytest.raises(NoCDN):
        await upload(read_set(project), without_cdn)
    with pytest.raises(NoObjectStorage):
        await upload(read_set(project), static_settings({"STATIC_CDN_URL": cdn}))
    nowhere = static_settings({"STATIC_CDN_URL": "http://127.0.0.1:1/b"})
    with pytest.raises(FastOppError, match="ConnectError"):
        await verify(read_set(project), nowhere)


def test_a_build_goes_on_without_the_cdn(
    project: Path, variables: dict[str, str], cdn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(commands, "find_project_apps", tuple)
    commands.publish_in_build({"STATIC_CDN_URL": cdn, "FASTOPP_PLATFORM": "leapcell"})  # no keys, and nothing there
    assert "Pages will use this site's /static" in capsys.readouterr().out
    assert not (project / NOTE).exists()
    commands.publish_in_build(variables | {"FASTOPP_PLATFORM": "leapcell"})
    assert (project / NOTE).is_file()
    commands.publish_in_build({"STATIC_CDN_URL": cdn})  # what another machine has stored
    assert (project / NOTE).is_file()
    commands.publish_in_build({})
    assert not (project / NOTE).exists()


async def test_checks(project: Path, variables: dict[str, str]) -> None:
    assert await run_async("W213", local(project)) == []
    assert await run_async("W214", local(project)) == []
    deployed = local(project, **variables, SITE_URL="https://shop.example.com")
    (finding,) = await run_async("W213", deployed)
    assert "404" in finding.message
    await upload(read_set(project), deployed.settings)
    assert await run_async("W213", deployed) == []
    (finding,) = await run_async("W214", deployed)
    assert "fonts/a.woff2" in finding.message
    Handler.origin = "https://shop.example.com"
    assert await run_async("W214", deployed) == []
    (project / "static/fonts/a.woff2").unlink()
    Handler.origin = ""
    assert await run_async("W214", deployed) == []
