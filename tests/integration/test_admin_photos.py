"""Photos in the admin panel: shown, uploaded, replaced and removed, by those who may edit the row."""

from __future__ import annotations

import pytest
from httpx import Client

from demo.webinars.models import WebinarRegistrant
from fastopp.features.accounts.models import AuditLog
from fastopp.features.admin.photo_field import NoUploads
from fastopp.features.admin.views import AdminView
from fastopp.storage.keys import key_from_url
from fastopp.testing import ClientAs, Project, Run
from tests.integration.covers_app.models import Book
from tests.services.demo import new_registrant, picture
from tests.services.files import evidence, keys

ADDRESS = "/admin/webinar-registrants"


@pytest.fixture
def registrant(project: Project, run: Run) -> WebinarRegistrant:
    row = new_registrant(name="Lena", assigned_sales_rep="sales@example.com", status="registered")
    run(project.add(row))
    return row


def form(row: WebinarRegistrant, **changes: str) -> dict[str, str]:
    texts = {"email": row.email, "name": row.name, "webinar_title": row.webinar_title, "status": row.status}
    return texts | {"webinar_date": "2027-01-01 00:00:00", "save": "Save"} | changes


def save(client: Client, row: WebinarRegistrant, photo: bytes = b"", **changes: str) -> int:
    files = {"photo_url": ("photo.jpg", photo, "image/jpeg")}
    return client.post(f"{ADDRESS}/edit/{row.id}", data=form(row, **changes), files=files).status_code


def now(project: Project, run: Run) -> WebinarRegistrant:
    (row,) = run(project.all(WebinarRegistrant))
    return row


def test_a_photo_is_uploaded_kept_replaced_and_removed(
    client_as: ClientAs, project: Project, run: Run, registrant: WebinarRegistrant
) -> None:
    client = client_as("marketing")
    assert save(client, registrant, picture("#111111")) == 302
    first = now(project, run).photo_url
    assert first
    for page in ("edit", "details"):
        assert f'<img src="{first}"' in client.get(f"{ADDRESS}/{page}/{registrant.id}").text
    assert client.get(first).headers["content-type"] == "image/jpeg"

    assert save(client, registrant, name="Lena Fischer") == 302
    assert (now(project, run).name, now(project, run).photo_url) == ("Lena Fischer", first)

    assert save(client, registrant, picture("#222222")) == 302
    second = now(project, run).photo_url
    assert run(keys(project.runtime)) == {key_from_url(second)} != {key_from_url(first)}

    assert save(client, registrant, photo_url_checkbox="on") == 302
    assert now(project, run).photo_url is None
    assert run(keys(project.runtime)) == set()
    assert run(evidence(project.runtime)) == {}
    changes = [entry.changes or "" for entry in run(project.all(AuditLog))]
    assert sum("photo_url" in change for change in changes) == 3


def test_a_new_row_with_a_photo(client_as: ClientAs, project: Project, run: Run) -> None:
    files = {"photo_url": ("photo.png", picture(kind="PNG"), "image/png")}
    answer = client_as("marketing").post(
        f"{ADDRESS}/create", data=form(new_registrant(status="registered")), files=files
    )
    assert answer.status_code == 302, answer.text
    assert run(keys(project.runtime)) == {key_from_url(now(project, run).photo_url)}
    assert run(evidence(project.runtime)) == {}


def test_what_is_no_picture_is_refused_beside_its_field(
    client_as: ClientAs, project: Project, run: Run, registrant: WebinarRegistrant
) -> None:
    files = {"photo_url": ("photo.jpg", b"<script>", "image/jpeg")}
    answer = client_as("marketing").post(f"{ADDRESS}/edit/{registrant.id}", data=form(registrant), files=files)
    assert answer.status_code == 400
    assert "not a JPEG, PNG, WebP or GIF" in answer.text.split('name="photo_url"')[1].split("</div>")[0]
    assert run(keys(project.runtime)) == set()
    assert now(project, run).photo_url is None


def test_a_row_that_the_database_refuses_leaves_a_photo_that_is_removed_later(
    client_as: ClientAs, project: Project, run: Run, registrant: WebinarRegistrant
) -> None:
    other = new_registrant(name="Other", status="registered")
    run(project.add(other))
    assert save(client_as("marketing"), other, picture(), email=registrant.email) == 400
    (key,) = run(keys(project.runtime))
    assert run(evidence(project.runtime)) == {key: "discarded"}


@pytest.mark.parametrize(("who", "status"), [("staff", 403), ("user", 403)])
def test_the_rights_of_the_view_hold(
    client_as: ClientAs, project: Project, run: Run, registrant: WebinarRegistrant, who: str, status: int
) -> None:
    assert save(client_as(who), registrant, picture()) == status
    assert run(keys(project.runtime)) == set()


def test_lists_show_photos() -> None:
    class BookAdmin(AdminView, model=Book):
        photo_columns = ("portrait_url",)

    show = BookAdmin().column_formatters["portrait_url"]
    assert '<img src="/&#34;.jpg"' in show(Book(portrait_url='/".jpg'), "portrait_url")
    assert show(Book(), "portrait_url") == ""


def test_a_column_that_nothing_follows_is_refused() -> None:
    class BookAdmin(AdminView, model=Book):
        photo_columns = ("cover_url",)

    with pytest.raises(NoUploads, match="uploads_under"):
        BookAdmin()
