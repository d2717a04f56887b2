"""Keys that are text, and columns of every type, in the admin."""

from __future__ import annotations

import csv
import html
import io
import re

import pytest
from admin_app import make_password_hash, running
from admin_types.models import Base, Book, Every, Shelf, Tag

from fastopp.core.apps import find_apps
from tests.gate import full
from tests.services.databases import url_on

url = url_on("sqlite", "psycopg")
SAVE = {"save": "Save"}
CODES = ("m1", "with space", "a/b", "a,b", "ä;ö", "100%", "a?b#c")


@pytest.fixture
async def site(tmp_path, url):
    apps = find_apps(["admin_types"])
    async with running(url, tmp_path, await make_password_hash(), apps) as app:
        async with app.runtime.database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await app.add(Shelf(code="m1"), Tag(name="t,1"), Tag(name="t2"))
        yield app


@pytest.fixture
async def client(site):
    async with site.signed_in("superuser") as client:
        yield client


def links(page, action):
    return [html.unescape(each) for each in re.findall(rf'href="([^"]*/{action}/[^"]*)"', page)]


async def test_a_key_that_is_text(site, client):
    for code in CODES:
        if code != "m1":
            saved = await client.post("/admin/shelf/create", data={"code": code} | SAVE)
            assert saved.status_code == 302, (code, saved.text[-2000:])
    page = (await client.get("/admin/shelf/list")).text
    details, edits = sorted(set(links(page, "details"))), sorted(set(links(page, "edit")))
    assert len(details) == len(edits) == len(CODES)
    for link in details + edits:
        assert (await client.get(link)).status_code == 200, link
    assert len(await site.rows(Shelf)) == len(CODES)
    deleted = await client.delete("/admin/shelf/delete", params={"pks": "with space"})
    assert deleted.status_code == 200
    assert len(await site.rows(Shelf)) == len(CODES) - 1


async def test_a_comma_in_a_key_deletes_no_other_row(site, client):
    await site.add(Shelf(code="a"), Shelf(code="b"))
    assert (await client.delete("/admin/shelf/delete", params={"pks": "a,b"})).status_code == 200
    assert [shelf.code for shelf in await site.rows(Shelf)] == ["m1"]
    await site.add(Shelf(code="a"), Shelf(code="b"), Shelf(code="a,b"))
    refused = await client.delete("/admin/shelf/delete", params={"pks": "a,b"})
    assert (refused.status_code, "contains a comma" in refused.text) == (400, True)
    assert len(await site.rows(Shelf)) == 4


async def test_relations_to_keys_that_are_text(site, client):
    form = {"isbn": "b1", "shelf": "m1", "tags": ["t,1", "t2"], "extra": '{"a": true}'}
    saved = await client.post("/admin/book/create", data=form | SAVE)
    assert saved.status_code == 302, saved.text[-3000:]
    book = await site.one(Book)
    assert (book.shelf_code, book.extra) == ("m1", {"a": True})
    assert (await client.get("/admin/book/edit/b1")).status_code == 200
    changed = await client.post("/admin/book/edit/b1", data=form | {"tags": ["t2"]} | SAVE)
    assert changed.status_code == 302
    # A form of the table that many rows refer to.
    assert (await client.post("/admin/shelf/edit/m1", data={"code": "m1", "books": ["b1"]} | SAVE)).status_code == 302
    assert (await client.post("/admin/shelf/edit/m1", data={"code": "m1", "books": []} | SAVE)).status_code == 302
    assert (await site.one(Book)).shelf_code is None


async def test_an_export_has_texts_and_json_and_keeps_its_accents(client):
    form = {"isbn": "bé", "shelf": "m1", "tags": ["t,1", "t2"], "extra": '{"ä": [true, null]}'}
    assert (await client.post("/admin/book/create", data=form | SAVE)).status_code == 302
    exported = await client.get("/admin/book/export/csv")
    assert exported.content.startswith(b"\xef\xbb\xbf")  # without it, a spreadsheet on Windows reads another encoding
    header, row = csv.reader(io.StringIO(exported.content.decode("utf-8-sig")))
    assert dict(zip(header, row, strict=True)) == {
        "isbn": "bé",
        "shelf": "Shelf m1",
        "tags": "Tag t,1, Tag t2",
        "extra": '{"ä": [true, null]}',
    }


HOSTILE = (
    "", " ", "x", "-1", "0", "1.5", "1e400", "nan", "inf", "-inf", "9" * 20, "9" * 400, "2" * 6, "32768", "2147483648",
    "9223372036854775808", "12345.678", "true", "[]", "{", "null", '"\\u0000"', "2027-02-30", "0000-00-00",
    "99999-01-01", "25:00", "2027-01-01 00:00:00", "1 day", "999999999 days", "=1+1", "<b>", "ä" * 50, "\U0001f600",
    "good", "nonsense", "00000000-0000-0000-0000-000000000001",
)  # fmt: skip
COLUMNS = [
    column.name for column in Every.__table__.columns if column.name not in ("id", "binary")
]  # fmt: skip


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in ("small", "numeric", "json", "interval", "aware", "enum") else [full])
    for name in COLUMNS
])  # fmt: skip
async def test_a_hostile_value_is_kept_or_refused(site, client, name):
    failed = []
    for value in HOSTILE:
        answer = await client.post("/admin/every/create", data={name: value} | SAVE)
        if answer.status_code not in (302, 400, 409, 422):
            failed.append((value, answer.status_code))
    assert failed == []
    for path in ("list", "export/csv"):
        assert (await client.get(f"/admin/every/{path}")).status_code == 200
    for row in await site.rows(Every):
        assert (await client.get(f"/admin/every/details/{row.id}")).status_code == 200, getattr(row, name)
        assert (await client.get(f"/admin/every/edit/{row.id}")).status_code == 200, getattr(row, name)
