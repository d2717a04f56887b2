from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from demo.webinars.permissions import PAGE_RIGHTS, RIGHTS, TABLE
from demo.webinars.sample_data import UPCOMING, WITH_PHOTO
from demo.webinars.schemas import NewRegistrant
from demo.webinars.showcase import by_webinar
from fastopp.features.accounts.models import User
from fastopp.features.accounts.permissions import Rights
from tests.services.demo import new_registrant

VALID: dict[str, Any] = {
    "name": "Ada Lovelace",
    "email": "Ada@Example.com",
    "webinar_title": "Engines",
    "webinar_date": "2027-03-01T10:00",
}


def staff(group: str | None) -> User:
    return User(email="someone@example.com", hashed_password="", is_staff=True, group=group)


def test_the_form_takes_what_a_browser_sends() -> None:
    new = NewRegistrant.model_validate(VALID | {"company": "", "assigned_sales_rep": ""})

    assert new.email == "ada@example.com"
    assert new.webinar_date == datetime(2027, 3, 1, 10, tzinfo=UTC)
    assert new.company == ""
    assert new.assigned_sales_rep == ""
    assert new.is_public is False


@pytest.mark.parametrize(
    "wrong",
    [{"name": " \n"}, {"name": "x" * 101}, {"name": "a\x00"}, {"email": "a"}, {"status": "x"}, {"webinar_date": "x"}],
)
def test_the_form_refuses_what_the_table_cannot_hold(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NewRegistrant.model_validate(VALID | wrong)


def test_registrants_are_grouped_by_webinar_and_date() -> None:
    rows = [new_registrant(name="A"), new_registrant(name="B"), new_registrant(name="C", webinar_title="Other")]

    assert [(webinar.title, len(webinar.attendees)) for webinar in by_webinar(rows)] == [("A Webinar", 2), ("Other", 1)]


@pytest.mark.parametrize(
    ("group", "actions"),
    [("marketing", {"view", "create", "edit", "delete"}), ("sales", {"view", "edit"}), ("support", {"view"})],
)
def test_rights_of_the_page(group: str, actions: set[Any]) -> None:
    allowed = {a for a in ("view", "create", "edit", "delete") if PAGE_RIGHTS.can(staff(group), a, TABLE)}  # type: ignore[arg-type] # literals

    assert allowed == actions


def test_other_staff_have_no_business_with_registrants_in_the_admin() -> None:
    assert not Rights(RIGHTS).can(staff("support"), "view", TABLE)


def test_sample_data_is_what_the_documents_say() -> None:
    assert len(UPCOMING) == 8
    assert [person.is_public for person in UPCOMING].count(False) == 2
    assert sorted(person.status for person in UPCOMING) == ["attended", "cancelled", *["registered"] * 6]
    assert [person.rep for person in UPCOMING].count("sales@example.com") == 5
    assert [person.group for person in UPCOMING].count("sales") == 4
    assert all(3 <= person.days <= 28 for person in UPCOMING)
    assert all(person.photo.is_file() for person in WITH_PHOTO)
    assert len({person.photo.read_bytes() for person in WITH_PHOTO}) == 5
