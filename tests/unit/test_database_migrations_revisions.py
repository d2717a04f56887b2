"""Reading the folder of migrations."""

from __future__ import annotations

import pytest

from fastopp.database.migrations.errors import MigrationError, MultipleHeads, NoMigrations, UnknownRevision
from fastopp.database.migrations.revisions import (
    ancestors,
    find_migrations,
    find_revision,
    head_revision,
    next_id,
    only_head,
    read_revisions,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "alembic/versions").mkdir(parents=True)
    return tmp_path / "alembic"


def write(folder, id_, down, *, title="Something", annotated=False, name=None, more=""):
    types = (": str", ": Union[str, None]") if annotated else ("", "")
    text = f'"""{title}\n\nmore\n"""\n{more}\nrevision{types[0]} = {id_!r}\ndown_revision{types[1]} = {down!r}\n'
    (folder / "versions" / (name or f"{id_}_x.py")).write_text(text)


def test_in_order_whatever_the_names(folder):
    write(folder, "0003", "0002", name="a.py")
    write(folder, "0001", None, name="c.py", title="First")
    write(folder, "0002", "0001", name="b.py", annotated=True)
    (folder / "versions/__init__.py").write_text("")
    (folder / "versions/README").write_text("")
    revisions = read_revisions(folder)
    assert list(revisions) == ["0001", "0002", "0003"]
    assert revisions["0001"].title == "First"
    assert head_revision(folder) == only_head(revisions) == "0003"
    assert next_id(revisions) == "0004"
    assert ancestors(revisions, ["0002", "stranger"]) == {"0001", "0002"}


def test_an_empty_folder(folder):
    assert read_revisions(folder) == {}
    assert head_revision(folder) is None
    assert next_id({}) == "0001"


def test_what_an_older_fastopp_left_is_not_even_imported(folder):
    write(folder, "0001", None)
    write(folder, "0002", "0001")
    write(folder, "a1b2c3d4e5f6", None, annotated=True, more="import a_module_that_is_gone")
    write(folder, "b2c3d4e5f6a7", "a1b2c3d4e5f6", annotated=True)
    write(folder, "c3d4e5f6a7b8", "its file is gone")
    assert list(read_revisions(folder)) == ["0001", "0002"]


def test_a_merge_keeps_both_sides(folder):
    write(folder, "0001", None)
    write(folder, "a1b2c3d4e5f6", None)
    write(folder, "0002", ("0001", "a1b2c3d4e5f6"))
    assert set(read_revisions(folder)) == {"0001", "0002", "a1b2c3d4e5f6"}
    assert head_revision(folder) == "0002"


def test_a_project_that_starts_elsewhere_is_read_whole(folder):
    write(folder, "aaaa", None)
    write(folder, "bbbb", "aaaa")
    assert head_revision(folder) == "bbbb"


def test_two_files_with_one_id(folder):
    write(folder, "0001", None, name="a.py")
    write(folder, "0001", None, name="b.py")
    with pytest.raises(MigrationError, match=r"a\.py and b\.py"):
        read_revisions(folder)


def test_two_that_follow_the_same(folder):
    write(folder, "0001", None)
    write(folder, "0002", "0001")
    write(folder, "0003", "0001")
    with pytest.raises(MultipleHeads, match=r"0002_x\.py and 0003_x\.py"):
        head_revision(folder)


@pytest.mark.parametrize("down", ["0007", "0002"])
def test_a_parent_that_is_missing_or_a_circle(folder, down):
    write(folder, "0001", None)
    write(folder, "0002", ("0001", down))
    with pytest.raises(MigrationError, match=rf"0002_x\.py follows {down}"):
        read_revisions(folder)


def test_a_file_that_is_not_text(folder):
    (folder / "versions/0001_x.py").write_bytes(b"\xff\xfe")
    with pytest.raises(MigrationError, match=r"0001_x\.py cannot be read"):
        read_revisions(folder)


def test_constants_over_several_lines(folder):
    for id_ in "ab":
        write(folder, id_, None)
    text = (
        '# coding\nQ\nTitle\nQ\nrevision: str = "0001"  # the id\ndown_revision = (\n    "a",\n    "b",\n)\nx = "c"\n'
    )
    (folder / "versions/0001_x.py").write_text(text.replace("Q", "'" * 3))
    revision = read_revisions(folder)["0001"]
    assert (revision.title, revision.parents) == ("Title", ("a", "b"))


def test_ids_may_be_written_short(folder):
    write(folder, "0001", None)
    revisions = read_revisions(folder)
    assert find_revision(revisions, "1").id == find_revision(revisions, "head").id == "0001"
    for id_ in ("2", "0", "", "nonsense", "heads?"):
        with pytest.raises(UnknownRevision, match="no migration"):
            find_revision(revisions, id_)


def test_the_folder_is_found(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_migrations() == folder.resolve()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "main.py").write_text("raise SystemExit")
    assert find_migrations() == folder.resolve()
    with pytest.raises(NoMigrations, match="no folder"):
        find_migrations(elsewhere)
