from __future__ import annotations

from pathlib import Path

import pytest

from demo.pages.routes import cards
from demo.pages.state import ProjectState, checks, next_step
from fastopp.database.counting import Count
from fastopp.features.accounts.models import User
from fastopp.settings import Settings, load_settings

READY = ProjectState(superuser=True, products=Count(8), registrants=Count(13))
ROOT = User(email="root@example.com", hashed_password="", is_superuser=True)
STAFF = User(email="staff@example.com", hashed_password="", is_staff=True)
LEAPCELL = {
    "FASTOPP_PLATFORM": "leapcell",
    "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00",
    "DATABASE_URL": "postgresql://u:p@localhost/x",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"DATABASE_URL": "sqlite:///x.db"}, env_file=tmp_path / "no.env")


@pytest.mark.parametrize(
    ("state", "user", "title", "href", "command"),
    [
        (ProjectState(reachable=False, tables=False), None, "The database does not answer", "/database-status", None),
        (ProjectState(tables=False), None, "Make the tables", None, "python oppdemo.py init"),
        (ProjectState(), None, "Make the first superuser and the demo data", None, "python oppdemo.py init"),
        (ProjectState(superuser=True), STAFF, "Load the demo data", "/login?next=/oppdemo/", None),
        (ProjectState(superuser=True), ROOT, "Load the demo data", "/oppdemo/", None),
        (READY, None, "Sign in", "/login", None),
        (READY, ROOT, "Create your own app", None, "python oppman.py startapp shop"),
    ],
)
def test_the_next_step_follows_the_state(
    settings: Settings, state: ProjectState, user: User | None, title: str, href: str | None, command: str | None
) -> None:
    step = next_step(state, settings, user)

    assert step is not None
    assert (step.title, step.href, step.command) == (title, href, command)


def test_a_platform_without_a_shell_is_set_up_from_the_browser(tmp_path: Path) -> None:
    closed = load_settings(LEAPCELL, env_file=tmp_path / "no.env")
    operated = load_settings(LEAPCELL | {"OPS_TOKEN": "operations-token-of-the-tests"}, env_file=tmp_path / "no.env")
    opened = load_settings(LEAPCELL | {"EMERGENCY_ACCESS_ENABLED": "true"}, env_file=tmp_path / "no.env")

    step = next_step(ProjectState(tables=False), closed, None)
    assert step is not None
    assert step.command is None
    assert "EMERGENCY_ACCESS_ENABLED=true" in step.text
    step = next_step(ProjectState(tables=False), operated, None)
    assert step is not None
    assert step.command is not None
    assert "/async/init-demo" in step.command
    assert "token-of-the-tests" not in step.command
    step = next_step(ProjectState(tables=False), opened, None)
    assert step is not None
    assert step.href == "/oppman/emergency"
    assert next_step(READY, closed, ROOT) is None


def test_what_is_unknown_is_not_called_missing(settings: Settings) -> None:
    lines = {line["name"]: line for line in checks(ProjectState(reachable=False, tables=False), settings)}

    assert lines["Database"]["ok"] is False
    assert lines["Tables"]["text"] == "Unknown."
    assert lines["Demo data"]["text"] == "Unknown."


def test_cards_lead_only_where_the_user_may_go() -> None:
    assert "/webinar-registrants" not in {card["href"] for card in cards(None)}
    assert {"/webinar-registrants", "/admin/"} <= {card["href"] for card in cards(STAFF)}
