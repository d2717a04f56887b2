from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlmodel import select

from demo.webinars.models import WebinarRegistrant
from fastopp.features.accounts.models import AuditLog
from fastopp.storage.keys import key_from_url
from tests.gate import each_database, only_full
from tests.services.databases import url_on
from tests.services.demo import NOBODY, account, demo, new_registrant, picture, registrant, seeded_demo, stored_keys
from tests.services.ops_project import BROWSER, HTMX, Project

KEYS = "id name email company webinar_title webinar_date status photo_url notes registration_date"


url = url_on("sqlite", *only_full("psycopg"), fill=seeded_demo)


@pytest.fixture
async def project(url: str, tmp_path: Path) -> AsyncIterator[Project]:
    async with demo(url, tmp_path, seeded=False) as running:
        yield running


async def upload(client: httpx.AsyncClient, registrant_id: UUID, data: bytes, **headers: str) -> httpx.Response:
    files = {"photo": ("portrait.jpg", data, "image/jpeg")}
    return await client.post(f"/upload-photo/{registrant_id}", files=files, headers=headers)


async def test_everybody_sees_only_what_is_public(project: Project) -> None:
    async with project.client() as client:
        attendees = (await client.get("/api/webinar-attendees")).json()["attendees"]
        page = await client.get("/webinar-demo", headers=BROWSER)
        fragment = await client.get("/api/webinar-attendees", headers=HTMX)

    assert len(attendees) == 11
    assert {(one["email"], one["notes"], one["group"]) for one in attendees} == {(None, None, None)}
    for text in (page.text, fragment.text):
        assert "Lena Fischer" in text
        assert "Hannah Cole" not in text
        assert "@example.com" not in text
        assert "billing service" not in text
    assert "<html" not in fragment.text
    assert ">11<" in page.text


async def test_staff_get_the_attendees_they_may_see_with_everything(project: Project) -> None:
    async with project.signed_in(*account("marketing")) as client:
        attendees = (await client.get("/api/webinar-attendees")).json()["attendees"]

    assert len(attendees) == 13
    assert all(one["email"] for one in attendees)


@pytest.mark.parametrize(
    ("name", "count"), [("admin", 13), ("marketing", 13), ("sales", 5), ("staff", 11), ("jane", 0)]
)
async def test_the_list_has_the_rows_of_the_account(project: Project, name: str, count: int) -> None:
    async with project.signed_in(*account(name)) as client:
        answer = (await client.get("/api/registrants")).json()
        page = await client.get("/webinar-registrants", headers=BROWSER)

    assert len(answer["registrants"]) == answer["total"] == count
    assert all(item.keys() == set(KEYS.split()) for item in answer["registrants"])
    assert page.status_code == 200
    assert (" registrants" in page.text) or count == 0
    assert ("Add registrant" in page.text) == (name in ("admin", "marketing"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/registrants"),
        ("POST", "/update-notes/{id}"),
        ("POST", "/upload-photo/{id}"),
        ("DELETE", "/delete-photo/{id}"),
        ("POST", "/webinar-registrants/{id}/status"),
        ("DELETE", "/webinar-registrants/{id}"),
        ("POST", "/webinar-registrants"),
    ],
)
async def test_nothing_is_done_for_a_stranger(project: Project, method: str, path: str) -> None:
    amara = await registrant(project, "Amara Okafor")
    form = {"notes": "x", "status": "attended", "name": "N", "email": "n@example.com", "webinar_title": "T"}
    form |= {"webinar_date": "2027-01-01T10:00"}
    async with project.client() as client:
        files = {"photo": ("a.jpg", picture(), "image/jpeg")} if "upload" in path else None
        body = {"data": form, "files": files} if method == "POST" else {}
        answer = await client.request(method, path.format(id=amara.id), **body)  # type: ignore[arg-type] # as named above

        # Nor is a stranger told what is wrong with the form.
        empty = await client.request(method, path.format(id="no-id"))

    assert answer.status_code == empty.status_code == 401, answer.text
    assert await registrant(project, "Amara Okafor") == amara


async def test_a_stranger_is_led_to_the_sign_in_and_back(project: Project) -> None:
    async with project.client() as client:
        answer = await client.get("/webinar-registrants?q=a", headers=BROWSER)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=/webinar-registrants")


@each_database
async def test_search_and_status_filter(project: Project) -> None:
    async with project.signed_in() as client:

        async def found(query: str) -> list[str]:
            answer = await client.get(f"/api/registrants?{query}")
            assert answer.status_code == 200, answer.text
            return [item["name"] for item in answer.json()["registrants"]]

        assert await found("q=newsletter") == ["Diego Fuentes"]
        assert await found("q=LENA.FISCHER@") == ["Lena Fischer"]
        assert await found("status=cancelled") == ["Ingrid Nilsen"]
        assert await found("q=%25") == []
        assert len(await found("per_page=2&page=7")) == 1
        rows = await client.get("/webinar-registrants?q=fuentes&status=", headers=HTMX | {"HX-Target": "registrants"})

    assert rows.headers["HX-Push-Url"] == "/webinar-registrants?q=fuentes"
    assert "<html" not in rows.text


async def test_changes_are_made_told_and_recorded(project: Project) -> None:
    diego = await registrant(project, "Diego Fuentes")
    async with project.signed_in(*account("marketing")) as client:
        status = await client.post(
            f"/webinar-registrants/{diego.id}/status", data={"status": "confirmed"}, headers=HTMX
        )
        notes = await client.post(f"/update-notes/{diego.id}", data={"notes": "<b>two</b>\r\nlines"}, headers=HTMX)
        old_client = await client.post(f"/update-notes/{diego.id}", data={"notes": "plain"})
        cleared = await client.post(f"/update-notes/{diego.id}", data={"notes": ""})
        absent = await client.post(f"/update-notes/{diego.id}", data={"other": ""})

    for answer in (status, notes, old_client, cleared):
        assert answer.status_code == 200, answer.text
        assert "successfully" in answer.text
    assert f'id="registrant-{diego.id}" hx-swap-oob="true"' in status.text
    assert "&lt;b&gt;two&lt;/b&gt;\nlines" in notes.text
    assert "hx-swap-oob" not in old_client.text
    assert absent.status_code == 422
    changed = await registrant(project, "Diego Fuentes")
    assert (changed.status, changed.notes) == ("confirmed", None)
    assert changed.updated_at > diego.updated_at
    entries = [(entry.action, entry.model_name, entry.record_id) for entry in await project.all(AuditLog)]
    entries = [entry for entry in entries if entry[0] != "sign in"]
    assert entries == [("update", "WebinarRegistrant", str(diego.id))] * 4


async def test_rights_hold_row_by_row(project: Project) -> None:
    assigned, other = await registrant(project, "Lena Fischer"), await registrant(project, "Sofia Rossi")
    async with project.signed_in(*account("sales")) as sales:
        assert (await sales.post(f"/update-notes/{assigned.id}", data={"notes": "x"})).status_code == 200
        assert (await sales.post(f"/update-notes/{other.id}", data={"notes": "x"})).status_code == 404
        assert (await upload(sales, other.id, picture())).status_code == 404
        assert (await sales.delete(f"/webinar-registrants/{assigned.id}")).status_code == 403
        assert (await sales.get("/webinar-registrants/new")).status_code == 403
    async with project.signed_in(*account("staff")) as support:
        refused = await support.post(f"/update-notes/{other.id}", data={"notes": "x"})
        assert refused.status_code == 403
        assert "not change" in refused.json()["detail"]
        assert (await support.get(f"/webinar-registrants/{other.id}/notes")).status_code == 403
    assert await registrant(project, "Sofia Rossi") == other


@pytest.mark.parametrize("path", ["/update-notes/{id}", "/webinar-registrants/{id}/status"])
async def test_ids_are_checked(project: Project, path: str) -> None:
    form = {"notes": "x", "status": "attended"}
    async with project.signed_in() as client:
        assert (await client.post(path.format(id="no-uuid"), data=form)).status_code == 422
        assert (await client.post(path.format(id=NOBODY), data=form)).status_code == 404


@each_database
async def test_somebody_is_added_once_and_deleted_with_their_photo(project: Project) -> None:
    form = {
        "name": "Ada Lovelace",
        "email": "Ada@Example.com",
        "webinar_title": "Engines",
        "webinar_date": "2027-03-01T10:00",
        "company": "",
    }
    async with project.signed_in(*account("marketing")) as client:
        added = await client.post("/webinar-registrants", data=form, headers=HTMX)
        again = await client.post("/webinar-registrants", data=form, headers=HTMX)
        bad = await client.post("/webinar-registrants", data=form | {"email": "no address"})
        browser = await client.post("/webinar-registrants", data=form | {"email": "b@example.com"}, headers=BROWSER)
        ada = await registrant(project, "Ada Lovelace") if browser.status_code == 500 else None
        assert ada is None
        found = (await client.get("/api/registrants?q=ada@example.com")).json()["registrants"]
        before = await stored_keys(project)
        assert (await upload(client, found[0]["id"], picture())).status_code == 200
        deleted = await client.delete(f"/webinar-registrants/{found[0]['id']}", headers=HTMX)

    assert (added.status_code, again.status_code, bad.status_code, browser.status_code) == (201, 409, 422, 303)
    assert "registrants-changed" in added.headers["HX-Trigger"]
    assert "already" in again.text
    assert len(found) == 1
    assert deleted.status_code == 200
    assert "successfully" in deleted.text
    assert await stored_keys(project) == before
    assert {"sign in", "create", "update", "delete"} == {entry.action for entry in await project.all(AuditLog)}


async def test_a_photo_is_stored_replaced_and_deleted(project: Project) -> None:
    diego = await registrant(project, "Diego Fuentes")
    before = await stored_keys(project)
    async with project.signed_in() as client:
        first = await upload(client, diego.id, picture("#ff0000"))
        url = (await registrant(project, "Diego Fuentes")).photo_url
        assert url is not None
        served = await client.get(url)
        second = await upload(client, diego.id, picture("#00ff00", "PNG"), **HTMX)
        new_url = (await registrant(project, "Diego Fuentes")).photo_url
        assert await stored_keys(project) == before | {key_from_url(new_url)}
        deleted = await client.delete(f"/delete-photo/{diego.id}")
        again = await client.delete(f"/delete-photo/{diego.id}")

    assert [answer.status_code for answer in (first, served, second, deleted, again)] == [200, 200, 200, 200, 404]
    assert "successfully" in first.text
    assert "successfully" in deleted.text
    assert served.headers["content-type"] == "image/jpeg"
    assert str(new_url) in second.text
    assert await stored_keys(project) == before
    assert (await registrant(project, "Diego Fuentes")).photo_url is None


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"<html>hello</html>", 415, "not a JPEG, PNG, WebP or GIF"),
        (b"\xff\xd8\xff\xe0 cut off", 422, "damaged"),
        (b"\xff\xd8" + bytes(5 * 2**20), 413, "5 are allowed"),
    ],
)
async def test_what_is_no_photo_is_refused_and_changes_nothing(
    project: Project, data: bytes, status: int, words: str
) -> None:
    amara = await registrant(project, "Amara Okafor")
    before = await stored_keys(project)
    async with project.signed_in() as client:
        answer = await upload(client, amara.id, data)
        fragment = await upload(client, amara.id, data, **HTMX)
        absent = await client.post(f"/upload-photo/{amara.id}", data={"description": "no file"})

    assert answer.status_code == fragment.status_code == status
    assert words in answer.json()["detail"]
    assert words in fragment.text
    assert absent.status_code == 422
    assert await registrant(project, "Amara Okafor") == amara
    assert await stored_keys(project) == before


@each_database
async def test_simultaneous_uploads_leave_one_photo(project: Project) -> None:
    mei = await registrant(project, "Mei Tanaka")
    before = await stored_keys(project)
    async with project.signed_in() as client:
        colours = ("#111111", "#555555", "#999999", "#dddddd")
        answers = await asyncio.gather(*(upload(client, mei.id, picture(colour)) for colour in colours))

    assert [answer.status_code for answer in answers] == [200] * 4
    now = key_from_url((await registrant(project, "Mei Tanaka")).photo_url)
    assert await stored_keys(project) == before - {key_from_url(mei.photo_url)} | {now}


@each_database
async def test_a_long_list_has_pages(project: Project) -> None:
    async with project.runtime.database.transaction() as session:
        session.add_all(new_registrant(name=f"Person {n:03}") for n in range(40))
    async with project.signed_in() as client:
        last = await client.get("/webinar-registrants?page=5", headers=BROWSER)
        beyond = await client.get("/webinar-registrants?page=99999", headers=BROWSER)

    assert "53 registrants, page 5 of 5" in last.text
    assert beyond.status_code == 200
    async with project.runtime.database.read() as session:
        assert len((await session.exec(select(WebinarRegistrant.id))).all()) == 53


async def test_an_outage_is_told_and_asked_again(tmp_path: Path) -> None:
    url = "postgresql://user:secret-password@127.0.0.1:1/nothing"
    async with demo(url, tmp_path, seeded=False) as project, project.client() as client:
        page = await client.get("/webinar-demo", headers=BROWSER)
        api = await client.get("/api/webinar-attendees")

    assert page.status_code == api.status_code == 503
    assert 'hx-get="/webinar-demo" hx-trigger="every 5s"' in page.text
    assert "secret-password" not in page.text + api.text


async def test_the_admin_deletes_the_photo_with_the_row(project: Project) -> None:
    amara = await registrant(project, "Amara Okafor")
    async with project.signed_in() as client:
        listed = await client.get("/admin/webinar-registrants/list", headers=BROWSER)
        answer = await client.delete("/admin/webinar-registrants/delete", params={"pks": str(amara.id)})
    async with project.signed_in(*account("staff")) as support:
        hidden = await support.get("/admin/webinar-registrants/list", headers=BROWSER)

    assert listed.status_code == 200
    assert "Amara Okafor" in listed.text
    assert answer.status_code == 200, answer.text
    assert key_from_url(amara.photo_url) not in await stored_keys(project)
    assert hidden.status_code == 403
