"""The fixture of a fresh, empty database for tests that run on each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def url_on(*kinds: str) -> Any:
    """A fixture: the URL of a database of each kind in turn, deleted after the test.

    Parameters
    ----------
    kinds: `sqlite`, or a driver for PostgreSQL.
    """

    @pytest.fixture(params=kinds)
    def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path}/test.db"
            return
        postgres = request.getfixturevalue("postgres")
        name = postgres.create_database()
        yield postgres.url(name).replace("postgresql://", f"postgresql+{request.param}://")
        postgres.drop_database(name)

    return url
