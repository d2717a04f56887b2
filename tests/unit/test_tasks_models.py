"""What a task returns is kept as it is, on SQLite as on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from fastopp.tasks.models import runs

VALUES = [2**70, -(2**70), 1.0, -0.0, 0.1, 5, 1e300, "5", "1e5", True, False, None, [2**70], {"a": 2**70}, ""]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_result_is_read_as_it_was_written(value: Any) -> None:
    engine = sa.create_engine("sqlite://")
    row = {"job_id": 1, "done": 0, "message": "", "error": "", "updated_at": datetime.now(UTC), "result": value}
    with engine.begin() as connection:
        runs.create(connection)
        connection.execute(runs.insert().values(row))
        found = connection.execute(sa.select(runs.c.result)).scalar_one()
    engine.dispose()
    assert (repr(found), type(found)) == (repr(value), type(value))
