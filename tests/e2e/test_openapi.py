"""Rubbish in every parameter of the OpenAPI document: never a 5xx, and only what the document promises."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gate import only_full
from tests.services.site import Site, account

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
EXCLUDED = {
    "/oppman/migrate": "a downgrade would take away the tables that the other operations are tried on",
    "/oppdemo/init": "seeds for seconds at each call; the step operation beside it runs the same code",
    "/async/init-demo": "the same",
}


@pytest.fixture(scope="module")
def throwaway(seeded_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A seeded project that may be ruined."""
    project = tmp_path_factory.mktemp("openapi") / "project"
    shutil.copytree(seeded_project, project)
    with Site(project) as running:
        yield running


@pytest.mark.parametrize(
    ("who", "phases"), only_full(("superuser", "coverage"), ("superuser", "fuzzing"), ("nobody", "coverage"))
)
def test_rubbish_is_answered_as_documented(who: str, phases: str, throwaway: Site, tmp_path: Path) -> None:
    """schemathesis's own program: boundary values, wrong types, missing and unknown parameters, then random ones."""
    headers = []
    if who == "superuser":
        with throwaway.client() as client:
            token = client.post("/api/token", data=account("admin@example.com")).json()["access_token"]
        headers = ["--header", f"Authorization: Bearer {token}"]
    excluded = [word for path in EXCLUDED for word in ("--exclude-path", path)] if who == "superuser" else []
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{throwaway.url}/openapi.json", "--checks", ",".join(CHECKS)),
            *("--phases", phases, "--max-examples", "4", "--seed", "20", "--no-shrink"),
            *("--continue-on-failure", "--warnings", "off", "--no-color"),
            *headers,
            *excluded,
        ],
        cwd=tmp_path,  # where it keeps what it has seen
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "unhandled error" not in throwaway.log


NASTY = (
    "\x00", "%00", "' OR 1=1 --", "9" * 400, "-1", "1e999", "NaN", "\ud7ff\uffff", "🙂" * 50, "../../etc/passwd",
    "{{7*7}}", "<script>", "\r\nSet-Cookie: a=b", "null", "[]", "true",
)  # fmt: skip
PARAMETERS = ("q", "sort", "page", "per_page", "category", "in_stock", "min_price", "status", "next")
PAGES = ("/", "/login", "/database-demo", "/webinar-demo", "/webinar-registrants", "/api/products", "/api/registrants",
         "/api/webinar-attendees", "/database-status", "/admin/product/list", "/admin/user/list")  # fmt: skip
ADMIN_PARAMETERS = ("page", "pageSize", "search", "sortBy", "sort", "pks")


def test_rubbish_in_the_address_of_a_page(throwaway: Site) -> None:
    """Pages are not in the document."""
    with throwaway.signed_in() as client:
        for path in PAGES:
            names = ADMIN_PARAMETERS if path.startswith("/admin") else PARAMETERS
            for value in NASTY:
                for params in (
                    [{name: value} for name in names]
                    if path in PAGES[2:3] + PAGES[9:10]
                    else [dict.fromkeys(names, value)]
                ):
                    answer = client.get(path, params=params, headers={"accept": "text/html"})
                    assert answer.status_code < 500, (path, params, answer.status_code)
                    assert "set-cookie: a=b" not in str(answer.headers).lower()
        for value in ("%00", "nonsense", "0" * 300, "..%2f..%2fetc%2fpasswd"):
            for path in ("/admin/product/details/", "/admin/product/edit/", "/admin/", "/admin/product/export/",
                         "/static/", "/static/uploads/", "/webinar-registrants/", "/upload-photo/"):  # fmt: skip
                answer = client.get(path + value)
                assert 400 <= answer.status_code < 500, (path + value, answer.status_code)
            answer = client.request("DELETE", f"/admin/product/delete?pks={value}")
            assert answer.status_code < 500, (value, answer.status_code)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b'{"message": "\\ud800"}'),
        ("application/json", b"[" * 50_000),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        ("application/x-www-form-urlencoded", b"%ff=%fe&&&=" * 10),
        ("application/x-www-form-urlencoded", b"a=1&" * 5000),
        ("text/plain", b"\x00\xff"),
        ("application/xml", b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>"),
        ("", b"\x00"),
    ],
)
def test_rubbish_in_a_body(kind: str, body: bytes, throwaway: Site) -> None:
    paths = ("/login", "/api/token", "/api/chat", "/api/chat/stream", "/webinar-registrants", "/oppman/users",
             "/upload-photo/00000000-0000-0000-0000-000000000000", "/oppman/change-password", "/oppdemo/products",
             "/admin/product/create", "/admin/login")  # fmt: skip
    with throwaway.signed_in() as client:
        for path in paths:
            answer = client.post(path, content=body, headers={"content-type": kind} if kind else {})
            assert answer.status_code < 500, (path, answer.status_code, answer.text[:300])
    assert "unhandled error" not in throwaway.log
    assert "Exception in ASGI application" not in throwaway.log
