"""Cells of exports, times, and the defaults of a view."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fastopp.features.accounts.models import FailedAttempt, User
from fastopp.features.admin.authentication import SiteAuthorization
from fastopp.features.admin.csv_cells import csv_cell
from fastopp.features.admin.user_admin import UserAdmin
from fastopp.features.admin.views import AdminView, format_time, plural


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("", ""),
        ("plain", "plain"),
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\uff1d1+1", "'\uff1d1+1"),  # full-width, and others that normalise to the same
        ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
        ("\ufe661", "'\ufe661"),
        ("\u200b=1", "'\u200b=1"),  # behind what is not seen
        ("\ufeff\u2060 =1", "'\ufeff\u2060 =1"),
        ("\u00a0+1", "'\u00a0+1"),
        ("\x00=1", "'\x00=1"),
        (";=1", ";'=1"),  # where ; separates
        ("a;\u200b=1", "a;'\u200b=1"),
        ("a\r\n=1", "a\r\n'=1"),
        ("a;b=c - d@e.f", "a;b=c - d@e.f"),
        ("\u2212", "\u2212"),
        (-1, "-1"),
        (-1.5, "-1.5"),
        (True, "True"),
        (datetime(2027, 1, 2, 3, 4, tzinfo=UTC), "2027-01-02T03:04:00+00:00"),
    ],
)
def test_cells(value: object, cell: str) -> None:
    assert csv_cell(value) == cell


def test_times_are_shown_in_utc() -> None:
    moment = datetime(2027, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=5)))
    assert "01 Jan 2027, 22:04 UTC" in format_time(moment)


def test_a_view_without_rights_is_for_superusers() -> None:
    class AttemptAdmin(AdminView, model=FailedAttempt):
        pass

    authorization = SiteAuthorization()
    authorization.know(AttemptAdmin())
    staff = User(email="a@b.c", hashed_password="", is_staff=True, group="marketing")
    superuser = User(email="a@b.c", hashed_password="", is_superuser=True)
    for action in ("view", "create", "edit", "delete"):
        assert authorization.rights.can(superuser, action, "failed-attempt")
        assert not authorization.rights.can(staff, action, "failed-attempt")
        assert not authorization.rights.can(superuser, action, "unknown")


@pytest.mark.parametrize(
    ("noun", "nouns"),
    [("Shop Entry", "Shop Entries"), ("Box", "Boxes"), ("Day", "Days"), ("Match", "Matches"), ("Book", "Books")],
)
def test_plurals(noun: str, nouns: str) -> None:
    assert plural(noun) == nouns


def test_a_view_has_a_plural_and_an_icon_unless_it_names_its_own() -> None:
    class EntryAdmin(AdminView, model=FailedAttempt):
        name = "Failed entry"

    class OwnAdmin(AdminView, model=FailedAttempt):
        name_plural = "Mishaps"
        icon = "fa-solid fa-bolt"

    assert (EntryAdmin().name_plural, EntryAdmin().icon) == ("Failed entries", "fa-solid fa-table")
    assert (OwnAdmin().name_plural, OwnAdmin().icon) == ("Mishaps", "fa-solid fa-bolt")


def test_a_form_starts_with_the_models_defaults_and_readable_labels() -> None:
    view = UserAdmin()
    assert view.form_args["is_active"] == {"default": True}
    assert UserAdmin.form_args == {}
    assert view._column_labels["hashed_password"] == "Hashed password"
    assert view._column_labels["is_active"] == "Active"
    assert "hashed_password" not in view._form_prop_names + view._details_prop_names + view._export_prop_names
