"""The demo moves away and comes back; nothing else is touched, and an interruption loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.console.main_file import ProjectError, list_apps
from fastopp.features.setup import demo_mode

MAIN = """from fastopp import FastOpp

app = FastOpp(
    apps=[
        "demo.pages",
        "shop",
        "demo.products",
    ],
)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(MAIN)
    for file in ("demo/__init__.py", "demo/pages/routes.py", "demo/pages/__pycache__/routes.pyc", "shop/models.py",
                 "static/uploads/photos/a.jpg", "test.db"):  # fmt: skip
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    return tmp_path


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_relative_to(folder / "backups") and "__pycache__" not in path.parts
    }


def test_destroy_takes_the_demo_and_nothing_else(project):
    demo_mode.destroy(project)
    assert list_apps(project / "main.py") == ["shop"]
    assert tree(project).keys() == {"main.py", "shop/models.py", "static/uploads/photos/a.jpg", "test.db"}


def test_restore_brings_it_back(project):
    before = tree(project)
    demo_mode.destroy(project)
    demo_mode.restore(project)
    after = tree(project)
    assert after.pop("main.py") != before.pop("main.py"), "the demo's apps stand together, at the front"
    assert after == before
    assert list_apps(project / "main.py") == ["demo.pages", "demo.products", "shop"]


def test_restore_keeps_apps_added_meanwhile(project):
    demo_mode.destroy(project)
    main = project / "main.py"
    main.write_text(main.read_text().replace('"shop",', '"shop",\n        "blog",'))
    demo_mode.restore(project)
    assert list_apps(main) == ["demo.pages", "demo.products", "shop", "blog"]


def test_destroy_twice_says_there_is_none(project):
    demo_mode.destroy(project)
    with pytest.raises(ProjectError, match="no demo"):
        demo_mode.destroy(project)


def test_restore_refuses_to_overwrite(project):
    demo_mode.save(project)
    with pytest.raises(ProjectError, match="already"):
        demo_mode.restore(project)


def test_restore_without_a_backup(project):
    backup = demo_mode.destroy(project)
    (backup.folder / "demo").rename(project / "elsewhere")
    with pytest.raises(ProjectError, match="No backup holds a demo"):
        demo_mode.restore(project)


@pytest.mark.parametrize("victim", ["remove_apps", "shutil.rmtree"])
def test_an_interrupted_destroy_is_finished_by_the_next(project, monkeypatch, victim):
    with monkeypatch.context() as patch:
        patch.setattr(f"fastopp.features.setup.demo_mode.{victim}", _killed)
        with pytest.raises(KeyboardInterrupt):
            demo_mode.destroy(project)
    if (project / "demo").exists():
        demo_mode.destroy(project)
    assert list_apps(project / "main.py") == ["shop"]
    demo_mode.restore(project)
    assert "demo/pages/routes.py" in tree(project)
    assert list_apps(project / "main.py") == ["demo.pages", "demo.products", "shop"]


def test_an_interrupted_restore_is_finished_by_the_next(project, monkeypatch):
    demo_mode.destroy(project)
    with monkeypatch.context() as patch:
        patch.setattr("fastopp.features.setup.demo_mode.add_apps", _killed)
        with pytest.raises(KeyboardInterrupt):
            demo_mode.restore(project)
    demo_mode.restore(project)
    assert list_apps(project / "main.py") == ["demo.pages", "demo.products", "shop"]


def test_diff_names_what_changed(project):
    demo_mode.save(project)
    assert demo_mode.diff(project)[1] == []
    (project / "demo/pages/routes.py").write_text("changed")
    (project / "demo/pages/new.py").write_text("new")
    (project / "demo/__init__.py").unlink()
    assert [(d.kind, d.path) for d in demo_mode.diff(project)[1]] == [
        ("deleted", "__init__.py"),
        ("added", "pages/new.py"),
        ("modified", "pages/routes.py"),
    ]


def test_backups_are_listed_newest_first(project):
    demo_mode.save(project)
    demo_mode.destroy(project)
    assert [(b.operation, b.files) for b in demo_mode.list_backups(project)] == [("destroy", 3), ("save", 3)]


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
