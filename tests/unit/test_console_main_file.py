"""The list of apps in main.py is read and changed without running the file or losing what else is in it."""

from __future__ import annotations

import os
import stat

import pytest

from fastopp.console.main_file import (
    ProjectError,
    add_apps,
    list_apps,
    read_title,
    remove_apps,
    set_title,
    write_atomically,
)

WRITTEN = '''"""Mine."""
import fastopp

x = "é"  # not ascii
app = fastopp.FastOpp(apps=["one", "two"], settings=None)  # keep me
'''


@pytest.fixture
def main(tmp_path):
    path = tmp_path / "main.py"
    path.write_text(WRITTEN, encoding="utf-8")
    return path


def test_add_and_remove(main):
    add_apps(main, ["three", "one"])
    assert list_apps(main) == ["one", "two", "three"]
    assert "# keep me" in main.read_text(encoding="utf-8")
    assert 'x = "é"' in main.read_text(encoding="utf-8")
    remove_apps(main, ["one", "two", "nothing"])
    assert list_apps(main) == ["three"]
    remove_apps(main, ["three"])
    assert list_apps(main) == []
    compile(main.read_text(encoding="utf-8"), "main.py", "exec")


def test_nothing_to_do_leaves_the_file_alone(main):
    before = main.stat().st_mtime_ns
    add_apps(main, ["one"])
    remove_apps(main, ["nine"])
    assert main.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("app = FastOpp(apps=[", "line 1"),
        ("app = FastOpp(apps=APPS)", "can be changed"),
        ("app = FastOpp(apps=[*more, 'x'])", "more than plain names"),
        ("print('hello')", "can be changed"),
    ],
)
def test_what_cannot_be_changed_is_said(main, text, says):
    main.write_text(text)
    with pytest.raises(ProjectError, match=says):
        add_apps(main, ["three"])
    assert main.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        'app = FastOpp(apps=["a"])\n',
        'app = FastOpp(\n    title="é",\n    description="Old.",\n    apps=["a"],\n)\n',
        'import fastopp\n\napp = fastopp.FastOpp(\n    apps=["a"],\n)  # keep me\n',
    ],
)
def test_the_title_is_written_and_read(main, text):
    main.write_text(text, encoding="utf-8")
    set_title(main, 'Ada\'s "shop"', "Sells ü.")
    assert read_title(main) == 'Ada\'s "shop"'
    assert list_apps(main) == ["a"]
    assert ("# keep me" in main.read_text(encoding="utf-8")) == ("# keep me" in text)
    names = {}
    exec(
        main.read_text(encoding="utf-8").replace("import fastopp", "").replace("fastopp.", ""),
        {"FastOpp": names.update},
    )
    assert names == {"title": 'Ada\'s "shop"', "description": "Sells ü.", "apps": ["a"]}


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize(
    ("before", "mode"), [(None, None), (0o640, None), (None, 0o600), (0o644, 0o600), (None, 0o755)]
)
def test_a_file_is_written_with_the_right_mode(tmp_path, before, mode, umask):
    path = tmp_path / "app.css"
    old = os.umask(umask)
    try:
        if before is not None:
            path.touch()
            path.chmod(before)
        write_atomically(path, b"new", mode=mode)
    finally:
        os.umask(old)
    expected = mode or before or 0o666 & ~umask
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", expected)
    assert list(tmp_path.iterdir()) == [path]
