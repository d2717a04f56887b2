"""A page sends a large file straight to the Object Storage: a real browser, the real policy, a bucket with CORS."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.services.browser import ARGUMENTS
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer, find_rclone
from tests.services.site import Site, account

# What a page of an app does: announce, PUT, complete.
SEND = """
async ([size, sent]) => {
  const headers = {
    "Content-Type": "application/json",
    "X-CSRF-Token": document.querySelector('meta[name="csrf-token"]').content,
  };
  const post = (url, data) => fetch(url, { method: "POST", headers, body: JSON.stringify(data) });
  const upload = await (await post("/api/uploads", { size, content_type: "image/png" })).json();
  const bytes = new Uint8Array(sent);
  bytes.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const put = await fetch(upload.url, { method: upload.method, headers: upload.headers, body: bytes });
  const done = await post(upload.complete, { ticket: upload.ticket });
  return { key: upload.key, put: put.status, complete: done.status };
}
"""


@pytest.fixture
def bucket_server() -> Iterator[RcloneServer]:
    if not find_rclone():
        pytest.skip("rclone is not installed (pip install leapcell-emulator)")
    with RcloneServer(allow_origin="*") as running:
        yield running


def test_from_the_browser_to_the_bucket(
    seeded_project: Path, bucket_server: RcloneServer, chromium_path: str, tmp_path: Path
) -> None:
    project, bucket = tmp_path / "project", bucket_server.create_bucket()
    shutil.copytree(seeded_project, project)
    environ = {
        "STORAGE_TYPE": "s3",
        "S3_ACCESS_KEY": ACCESS_KEY,
        "S3_SECRET_KEY": SECRET_KEY,
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": bucket_server.endpoint,
    }
    with Site(project, environ) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        page = browser.new_page(base_url=site.url)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto("/login?next=/protected")
        page.fill('input[name="username"]', account("admin@example.com")["username"])
        page.fill('input[name="password"]', account("admin@example.com")["password"])
        page.press('input[name="password"]', "Enter")
        page.wait_for_selector('meta[name="csrf-token"]', state="attached")
        size = 6 * 1024 * 1024
        sent: dict[str, Any] = page.evaluate(SEND, [size, size])
        assert (sent["put"], sent["complete"]) == (200, 200)
        assert (bucket_server.bucket(bucket) / sent["key"]).stat().st_size == size
        assert complaints == []
        fetched = page.evaluate("url => fetch(url).then(answer => answer.blob()).then(blob => blob.size)",
                              f"/static/uploads/{sent['key']}")  # fmt: skip
        assert fetched == size
        wrong: dict[str, Any] = page.evaluate(SEND, [1000, 1001])
        assert (wrong["put"], wrong["complete"]) == (403, 422)
        assert not (bucket_server.bucket(bucket) / "backups/staging" / wrong["key"]).exists()
        assert not (bucket_server.bucket(bucket) / wrong["key"]).exists()
        browser.close()
