"""The mistakes that everyone makes in the first hour, and the two sentences that answer each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastopp.console.main_file import add_apps, remove_apps
from leapcell_emulator.loopback import free_port
from tests.services.site import copy_project, run_command

APPS: dict[str, dict[str, str]] = {
    "syntax": {"models.py": "from sqlmodel import SQLModel\n\nclass Book(SQLModel, table=True)\n    id: int\n"},
    "imports": {"routes.py": "from fastapi import APIRouter\nfrom nowhere import anything\n\nrouter = APIRouter()\n"},
    "circle": {
        "models.py": "from circle.routes import router\n\nSHELVES = [router]\n",
        "routes.py": "from fastapi import APIRouter\n\nfrom circle.models import SHELVES\n\nrouter = APIRouter()\n",
    },
    "library": {
        "models.py": (
            "from sqlmodel import Field, SQLModel\n\n\nclass LibraryBook(SQLModel, table=True):\n"
            "    id: int | None = Field(default=None, primary_key=True)\n    title: str\n"
        ),
        "admin.py": (
            "from fastopp import AdminView\nfrom library.models import LibraryBook\n\n\n"
            'class BookAdmin(AdminView, model=LibraryBook):\n    column_list = ["id", "titel"]\n'
        ),
        "routes.py": (
            "from fastapi import APIRouter, Request\nfrom fastopp import render\n\nrouter = APIRouter()\n\n\n"
            '@router.get("/books/{book}")\nasync def book(request: Request, book: str):\n'
            '    return render(request, "library/book.html", {"title": book})\n\n\n'
            '@router.get("/books/new")\nasync def new(request: Request):\n'
            '    return render(request, "library/new.html")\n\n\n'
            '@router.get("/books/{name}")\nasync def again(name: str):\n    return name\n'
        ),
        "templates/library/book.html": '{% extends "bse.html" %}\n{% block content %}\n{{ titel|shout }}{% endblock %}',
        "templates/library/new.html": "<p>\n{% endfi %}\n",
    },
    "relations": {
        "models.py": (
            "from __future__ import annotations\n\nfrom sqlmodel import Field, Relationship, SQLModel\n\n\n"
            "class Shelf(SQLModel, table=True):\n"
            "    id: int | None = Field(default=None, primary_key=True)\n"
            '    boxes: list[Box] = Relationship(back_populates="shelf")\n\n\n'
            "class Box(SQLModel, table=True):\n"
            "    id: int | None = Field(default=None, primary_key=True)\n"
            '    shelf_id: int | None = Field(default=None, foreign_key="shelf.id")\n'
            '    shelf: Shelf | None = Relationship(back_populates="boxes")\n'
        )
    },
}


def write_apps(project: Path, *names: str) -> Path:
    for name in names:
        for file, text in {"__init__.py": "", **APPS[name]}.items():
            path = project / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    add_apps(project / "main.py", names)
    return project


def checked(project: Path, **environ: str) -> list[tuple[str, str, str]]:
    """Return the id, the message and the hint of all that `oppman.py check` finds."""
    done = run_command(project, "oppman.py", "check", "--json", environ=environ)
    assert "Traceback" not in done.stderr, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return [(found["id"][8:], found["message"], found["hint"]) for found in report["findings"]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a part of the demo: each check reads all that a project has."""
    project = copy_project(tmp_path / "project")
    remove_apps(project / "main.py", ["demo.pages", "demo.webinars", "demo.design", "demo.chat"])
    return project


def test_mistakes_in_modules(project: Path) -> None:
    found = checked(write_apps(project, "syntax", "imports", "circle"))
    places = [(check, message.partition(": ")[0]) for check, message, _ in found]
    assert places == [
        ("E501", "syntax/models.py, line 3"),
        ("E501", "imports/routes.py, line 2"),
        ("E501", "circle/routes.py, line 3"),  # where importing models ends
        ("E501", "circle/models.py, line 1"),  # and where importing routes does
    ]
    assert found[0][1].endswith(": expected ':'.")
    assert found[1][1].endswith(": ModuleNotFoundError: No module named 'nowhere'")
    assert "cannot import name 'SHELVES' from partially initialized module" in found[2][1]
    assert "Two modules import each other." in found[2][2]


def test_mistakes_in_templates_routes_and_the_admin(project: Path) -> None:
    found = checked(write_apps(project, "library"))
    folder = "library/templates/library"
    assert [each for each in found if each[0] != "E121"] == [
        (
            "E505",
            "library/admin.py, line 6: LibraryBook has no `titel`, which column_list names.",
            "Did you mean `title`?",
        ),
        ("E506", f"{folder}/book.html, line 3: No filter named 'shout'.", found_hint(found, "shout")),
        ("E506", f"{folder}/new.html, line 2: {found_text(found, 'endfi')}", found_hint(found, "endfi")),
        (
            "W504",
            "library/routes.py, line 12: GET /books/new is never reached, since library/routes.py, line 7 answers "
            "/books/{book} first.",
            found_hint(found, "/books/new"),
        ),
        (
            "W504",
            "library/routes.py, line 17: GET /books/{name} is never reached, since library/routes.py, line 7 answers "
            "/books/{book} first.",
            found_hint(found, "/books/{name}"),
        ),
    ]


def found_hint(found: list[tuple[str, str, str]], text: str) -> str:
    (hint,) = [hint for _, message, hint in found if text in message]
    assert hint
    return hint


def found_text(found: list[tuple[str, str, str]], text: str) -> str:
    (message,) = [message for _, message, _ in found if text in message]
    return message.partition(": ")[2]


def test_names_of_templates_and_of_other_templates(project: Path) -> None:
    write_apps(project, "library")
    book = project / "library/templates/library/book.html"
    book.write_text(book.read_text().replace("|shout", ""))
    found = checked(project)
    missing = "library/templates/library/book.html, line 1: there is no template bse.html."
    unknown = "library/templates/library/book.html, line 3: `titel` is not given by library/routes.py, line 9."
    assert ("E506", missing, "Did you mean base.html?") in found
    assert ("E507", unknown, "Did you mean `title`?") in found

    routes = project / "library/routes.py"
    routes.write_text(routes.read_text().replace("library/new.html", "library/knew.html"))
    missing = "library/routes.py, line 14: there is no template library/knew.html."
    assert ("E508", missing, "Did you mean library/new.html?") in checked(project)


def test_a_relationship_under_postponed_annotations(project: Path) -> None:
    write_apps(project, "relations")
    found = [each for each in checked(project) if each[0] == "E502"]
    assert [message for _, message, _ in found] == [
        "relations/models.py, line 8: the relation `boxes` has a postponed annotation.",
        "relations/models.py, line 14: the relation `shelf` has a postponed annotation.",
    ]
    assert "from __future__ import annotations" in found[0][2]
    said = refused(project, "oppman.py", "migrate")
    assert said.startswith("relations/models.py, line 6: When initializing mapper")
    assert "Remove `from __future__ import annotations`" in said


def test_a_relation_to_nothing(project: Path) -> None:
    write_apps(project, "relations")
    models = project / "relations/models.py"
    text = models.read_text().replace("from __future__ import annotations\n", "")
    models.write_text(text.replace("list[Box]", 'list["Bux"]').replace("Shelf | None", '"Shelf"'))
    found = [each for each in checked(project) if each[0] == "E503"]
    assert len(found) == 1
    assert found[0][1].startswith("relations/models.py, line 5: ")
    assert "'Bux'" in found[0][1]


def test_names_of_settings(project: Path) -> None:
    (project / ".env").write_text("DATBASE_URL=sqlite:///test.db\nFAVOURITE_COLOUR=blue\n")
    found = checked(project, SECRT_KEY="a" * 8)
    assert ("W011", "DATBASE_URL is not a setting.", "Did you mean DATABASE_URL?") in found
    assert ("W011", "SECRT_KEY is not a setting.", "Did you mean SECRET_KEY?") in found
    assert [message for check, message, _ in found if check == "I012"] == [
        "FAVOURITE_COLOUR is read neither by FastOpp nor by an app."
    ]


def test_a_mistake_in_main(project: Path) -> None:
    main = project / "main.py"
    good = main.read_text()
    main.write_text(f"import nowhere\n{good}")
    assert ("E501", "main.py, line 1: ModuleNotFoundError: No module named 'nowhere'") in [
        each[:2] for each in checked(project)
    ]
    assert refused(project, "oppman.py", "migrate").startswith("main.py, line 1: ModuleNotFoundError")
    main.write_text(good + "app = (\n")
    last = len(good.splitlines()) + 1
    assert ("E501", f"main.py, line {last}: '(' was never closed.") in [each[:2] for each in checked(project)]


def refused(project: Path, *words: str, **environ: str) -> str:
    """Run a command that must fail with two sentences; what it says."""
    done = run_command(project, *words, environ=environ)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("oppman.py", "makemigrations", "Add"),
        ("oppman.py", "migrate"),
        ("oppman.py", "list_users"),
        ("oppdemo.py", "init"),
    ],
)
def test_commands_name_the_line(project: Path, words: tuple[str, ...]) -> None:
    said = refused(write_apps(project, "syntax"), *words)
    assert said.startswith("syntax/models.py, line 3: expected ':'."), said


def test_the_server_names_the_line(project: Path) -> None:
    write_apps(project, "syntax")
    words = ("oppman.py", "runserver", "--no-reload", "--port", str(free_port()))
    done = run_command(project, *words, environ={"DATBASE_URL": "sqlite:///x.db"})
    assert done.returncode == 3  # uvicorn's, for an application that does not start
    assert "Traceback" not in done.stderr, done.stderr
    assert "DATBASE_URL is not a setting. Did you mean DATABASE_URL?" in done.stdout
    assert "syntax/models.py, line 3: expected ':'. Fix it and try again." in done.stderr


def test_a_bug_in_a_command_of_an_app(project: Path) -> None:
    write_apps(project, "library")
    (project / "library/commands.py").write_text(
        "import typer\n\napp = typer.Typer()\n\n\n@app.command()\ndef count() -> None:\n    1 / 0\n\n\n"
        "@app.command()\ndef other() -> None: ...\n"
    )
    said = refused(project, "oppman.py", "library", "count")
    assert said.startswith("library/commands.py, line 8: ZeroDivisionError: division by zero")
    done = run_command(project, "oppman.py", "library", "count", environ={"DEBUG": "true"})
    assert "Traceback" in done.stderr
