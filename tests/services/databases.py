"""Databases for tests that run on each kind: empty ones, and copies of one that was filled once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.services.aside import run_aside
from tests.services.postgres import Postgres
from tests.services.run_wide import made_once

Fill = Callable[[str, Path], Coroutine[Any, Any, None]]
"""Fills an empty database, given its URL, and a folder, for files, which is copied with it."""


class Templates:
    """Databases that are filled at their first use in a run, and copied for each test.

    folder: shared by the workers of the run.
    postgres: starts the server when it is called.
    """

    def __init__(self, folder: Path, postgres: Callable[[], Postgres]) -> None:
        self._folder = folder
        self._postgres = postgres

    @contextmanager
    def copied(self, kind: str, folder: Path, fill: Fill | None = None) -> Iterator[str]:
        """Give the URL of a fresh database, deleted in the end, and put its files into the folder.

        kind: `sqlite`, or a driver for PostgreSQL.
        fill: fills the template; without it the database is empty.
        """
        files, template = self._template(fill, sqlite=kind == "sqlite") if fill else (None, "template1")
        folder.mkdir(exist_ok=True)
        if files:
            shutil.copytree(files, folder, dirs_exist_ok=True)
        if kind == "sqlite":
            yield f"sqlite:///{folder}/test.db"
            return
        postgres = self._postgres()
        name = postgres.create_database(template)
        yield postgres.url(name).replace("postgresql://", f"postgresql+{kind}://")
        postgres.drop_database(name)

    def _template(self, fill: Fill, *, sqlite: bool) -> tuple[str, str]:
        """Return the folder of a template and, on PostgreSQL, the database's name."""
        server = "sqlite" if sqlite else Path(self._postgres().socket_folder).name

        def make() -> tuple[str, str]:
            folder = Path(mkdtemp(dir=self._folder))
            name = "" if sqlite else self._postgres().create_database()
            run_aside(fill(f"sqlite:///{folder}/test.db" if sqlite else self._postgres().url(name), folder))
            return str(folder), name

        folder, name = made_once(self._folder / f"{server}-{fill.__module__}.{fill.__qualname__}.json", make)
        return folder, name


def url_on(*kinds: str, fill: Fill | None = None) -> Any:
    """Return a fixture: the URL of a fresh database of each kind in turn, as `Templates.copied` makes it."""

    @pytest.fixture(params=kinds)
    def url(request: pytest.FixtureRequest, tmp_path: Path, templates: Templates) -> Iterator[str]:
        with templates.copied(request.param, tmp_path, fill) as copy:
            yield copy

    return url
