"""What everyone may know of a database's address, and how long an answer of the checks is shared."""

from __future__ import annotations

import pytest

from fastopp.core.runtime import open_runtime
from fastopp.features.debug.routes import can_write
from fastopp.features.health.probes import SHARED_FOR, HealthMonitor
from fastopp.features.health.status import database_type, public_url
from fastopp.settings.database_url import DatabaseURL
from fastopp.testing import ManualClock
from tests.services.ops_project import settings_of


@pytest.mark.parametrize(
    ("url", "shown", "kind"),
    [
        ("sqlite:////home/somebody/things.db", "sqlite:///things.db", "SQLite"),
        ("postgresql://user:secret@db.example.com/app", "postgresql://***@db.example.com:5432/***", "PostgreSQL"),
        ("postgresql+asyncpg://user@[::1]:6000/app?sslmode=require", "postgresql://***@::1:6000/***", "PostgreSQL"),
        ("postgresql:///app", "postgresql://***@localhost:5432/***", "PostgreSQL"),
    ],
)
def test_it_is_the_kind_and_the_place(url, shown, kind):
    parsed = DatabaseURL.parse(url)
    assert public_url(parsed) == shown
    assert database_type(parsed) == kind


def test_a_folder_yet_to_be_made_is_writable_where_it_would_be_made(tmp_path):
    assert can_write(tmp_path / "not" / "there")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert can_write(tmp_path / "file" / "below")  # the nearest folder that exists


async def test_an_answer_is_shared_for_a_second(tmp_path):
    clock, monitor = ManualClock(), HealthMonitor()
    async with open_runtime(settings_of(f"sqlite:///{tmp_path}/t.db", tmp_path), clock=clock) as runtime:
        first = await monitor.report(runtime)
        clock.advance(SHARED_FOR)
        assert await monitor.report(runtime) is first
        clock.advance(0.1)
        second = await monitor.report(runtime)
        assert second is not first
        assert await monitor.fresh(runtime) is not second
