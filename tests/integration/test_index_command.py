"""`oppman.py db indexes` in a project whose model lacks an index: found, written, migrated; and built without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services.commands import Commands
from tests.services.databases import url_on
from tests.services.migrations import copy_migrations, migrated

ROOT = Path(__file__).parents[2]
MODELS = """
from sqlmodel import Field, SQLModel

class Author(SQLModel, table=True):
    __tablename__ = "library_authors"
    id: int | None = Field(default=None, primary_key=True)

class Book(SQLModel, table=True):
    __tablename__ = "library_books"
    id: int | None = Field(default=None, primary_key=True)
    author_id: int = Field(foreign_key="library_authors.id")
    year: int
"""
ADMIN = """
from fastopp.features.admin.views import AdminView
from library.models import Book

class BookAdmin(AdminView, model=Book):
    column_list = [Book.id, Book.year]
    column_default_sort = [(Book.year, True)]
"""
NAMES = ["ix_library_books_author_id", "ix_library_books_year"]

url = url_on("sqlite", "psycopg", fill=migrated)


@pytest.fixture
def oppman(tmp_path: Path, url: str) -> Iterator[Callable[..., str]]:
    copy_migrations(tmp_path)
    (tmp_path / "library").mkdir()
    for name, text in (("__init__", ""), ("models", MODELS), ("admin", ADMIN)):
        (tmp_path / f"library/{name}.py").write_text(text)
    apps = "['library', 'demo.products', 'demo.webinars']"
    (tmp_path / "main.py").write_text(f"from fastopp import FastOpp\napp = FastOpp(apps={apps})\n")
    with Commands(tmp_path, {"DATABASE_URL": url, "PATH": "", "PYTHONPATH": str(ROOT)}) as commands:
        yield commands.succeed


def missing(oppman: Callable[..., str]) -> list[str]:
    return [each["name"] for each in json.loads(oppman("db", "indexes", "--json"))["missing"]]


def test_missing_indexes_are_found_and_migrated(oppman: Callable[..., str], tmp_path: Path) -> None:
    oppman("makemigrations", "Library")
    oppman("migrate", "upgrade")
    assert missing(oppman) == NAMES
    assert "ix_library_books_year" in oppman("db", "indexes")
    written = json.loads(oppman("db", "indexes", "--write", "--json"))
    assert written["built"] == []
    source = Path(written["migration"]).read_text()
    assert [source.count(name) for name in NAMES] == [2, 2]
    oppman("db", "indexes", "--create")
    assert missing(oppman) == []
    oppman("migrate", "upgrade")  # skips those that are there
    oppman("migrate", "downgrade", "-1")
    assert missing(oppman) == NAMES
    oppman("migrate", "upgrade")
    assert "No index is missing." in oppman("db", "indexes")
