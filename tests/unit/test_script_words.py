"""`script/words`: which texts it looks at, and what it reports."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def words() -> ModuleType:
    """Import script/words, whose name has no `.py`."""
    loader = SourceFileLoader("script_words", str(ROOT / "script/words"))
    spec = spec_from_loader("script_words", loader)
    assert spec
    module = module_from_spec(spec)
    sys.modules["script_words"] = module  # NamedTuple looks its module up
    loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, words: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, and a list of two entries."""
    monkeypatch.setattr(words, "WORDS", {"broken off": "cancelled", "mend|mends": "fix"})
    (tmp_path / "docs/deploy").mkdir(parents=True)
    (tmp_path / "src/fastopp/tasks").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Shop\n", encoding="utf-8")
    return tmp_path


def module(project: Path, source: str) -> None:
    (project / "src/fastopp/tasks/task.py").write_text(source, encoding="utf-8")


def test_packages_are_checked_too(words: ModuleType, project: Path) -> None:
    folder = project / "packages/leapcell-emulator"
    (folder / "src").mkdir(parents=True)
    (folder / "README.md").write_text("Mend it.\n", encoding="utf-8")
    (folder / "src/rule.py").write_text("# mends it\n", encoding="utf-8")
    assert [line.partition(":")[0] for line in words.check(project)] == [
        "packages/leapcell-emulator/README.md",
        "packages/leapcell-emulator/src/rule.py",
    ]


def test_templates_are_checked_without_comments_and_tags(words: ModuleType, project: Path) -> None:
    for folder in ("src/fastopp/web/templates/mail", "demo/shop/templates/shop"):
        (project / folder).mkdir(parents=True)
    html = '{# It mends. #}\n<p class="mend">\nIt was broken\noff.</p>\n'
    (project / "demo/shop/templates/shop/index.html").write_text(html, encoding="utf-8")
    (project / "src/fastopp/web/templates/mail/note.txt").write_text("Mend it.\n", encoding="utf-8")
    assert [line.rpartition(": '")[0] for line in words.check(project)] == [
        "demo/shop/templates/shop/index.html:3",
        "src/fastopp/web/templates/mail/note.txt:1",
    ]


def page(project: Path, text: str) -> None:
    (project / "docs/deploy/fly.md").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# Fly\n\nMend it.\n", 3),
        ("# Fly\n\nIt was broken\noff. Try again.\n", 3),
        ("# Fly\n\n| It MENDS | a cell |\n", 3),
    ],
)
def test_a_word_in_the_docs(words: ModuleType, project: Path, text: str, line: int) -> None:
    page(project, text)
    (found,) = words.check(project)
    assert found.startswith(f"docs/deploy/fly.md:{line}: ")


@pytest.mark.parametrize(
    "text",
    [
        "# Fly\n\nRun `mend`.\n",
        "# Fly\n\n```sh\nmend\n```\n",
        "# Fly\n\nSee [the guide](#mend).\n",
        "# Fly\n\n<!-- begin: checks -->\nTo mend it: run it.\n<!-- end: checks -->\n",
        "# Fly\n\nAn amendment.\n",
    ],
    ids=["code", "block", "link", "generated", "part of a word"],
)
def test_code_and_generated_parts_are_left_out(words: ModuleType, project: Path, text: str) -> None:
    page(project, text)
    assert words.check(project) == []


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('"""Run a task.\n\nIt may be broken off.\n"""\n', 3),
        ("x = 1\n# It may be broken\n# off at any time.\n", 2),
        ("x = 1  # it was broken off\n", 1),
        ('x = "It was broken off."\n', 1),
        ('x = f"{1} was broken off by {2}"\n', 1),
    ],
    ids=["docstring", "comment on two lines", "comment behind code", "string", "f-string"],
)
def test_a_word_in_the_source(words: ModuleType, project: Path, source: str, line: int) -> None:
    module(project, source)
    assert words.check(project) == [f"src/fastopp/tasks/task.py:{line}: 'broken off': write cancelled"]


def test_names_are_not_found(words: ModuleType, project: Path) -> None:
    module(project, 'mend = {"mend": 1}\nprint(f"{mend} is the number of {len(mend)}, of `mend` too")  # `mend`\n')
    assert words.check(project) == []


def test_how_docstrings_begin(words: ModuleType, project: Path) -> None:
    what, where = '"""What runs."""', '"""Where it runs.\n\n    What else?\n    """'
    module(project, f'{what}\n\n# What it is.\n\n\ndef run():\n    {where}\n    return "What is it?"\n')
    assert words.check(project) == [
        "src/fastopp/tasks/task.py:1: 'What': write Return …, Raise …, The …",
        "src/fastopp/tasks/task.py:7: 'Where': write Return …, Raise …, The …",
    ]


@pytest.mark.parametrize(("text", "status"), [("Mend it.", 1), ("Fix it.", 0)])
def test_the_status_says_whether_a_word_was_found(project: Path, text: str, status: int) -> None:
    page(project, f"# Fly\n\n{text}\n")
    script = project / "script/words"
    script.parent.mkdir()
    shutil.copy(ROOT / "script/words", script)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout == ("docs/deploy/fly.md:3: 'Mend': write fix\n" if status else "")
