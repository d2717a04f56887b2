"""Which errors are the same."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import Any

from fastopp.features.errors.fingerprint import Fingerprints, unwrapped

SHOP = """\
def price(item):
    return 1 / item

def sale(item):
    return price(item)

def offer(item):
    return price(item)

def deep(depth):
    return deep(depth - 1) if depth else 1 / 0

def wrapped(item):
    try:
        price(item)
    except ZeroDivisionError as error:
        raise ValueError("no price") from error
"""


def load(folder: Path, source: str, name: str = "shop.py") -> dict[str, Any]:
    file = folder / name
    file.write_text(source)
    linecache.checkcache(str(file))
    space: dict[str, Any] = {}
    exec(compile(source, str(file), "exec"), space)
    return space


def caught(function: Any, *arguments: object) -> Exception:
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001 - any
        return error
    raise AssertionError


def fingerprint(folder: Path, error: BaseException) -> str:
    return Fingerprints(folder).identify(error).fingerprint


def test_the_way_through_the_own_code_and_the_type(tmp_path):
    shop = load(tmp_path, SHOP)
    identity = Fingerprints(tmp_path).identify(caught(shop["sale"], 0))
    assert (identity.type, identity.place) == ("ZeroDivisionError", "shop.py, in price")
    assert identity == Fingerprints(tmp_path).identify(caught(shop["sale"], 0))
    others = [caught(shop["offer"], 0), caught(shop["sale"], "x"), caught(shop["wrapped"], 0)]
    assert len({identity.fingerprint, *(fingerprint(tmp_path, each) for each in others)}) == 4


def test_it_outlives_lines_that_are_added_above(tmp_path):
    before = fingerprint(tmp_path, caught(load(tmp_path, SHOP)["sale"], 0))
    assert fingerprint(tmp_path, caught(load(tmp_path, f"import os\n\n\n{SHOP}")["sale"], 0)) == before
    changed = SHOP.replace("1 / item", "2 / item")
    assert fingerprint(tmp_path, caught(load(tmp_path, changed)["sale"], 0)) != before


def test_it_is_the_same_in_another_folder(tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    first, second = (fingerprint(each, caught(load(each, SHOP)["sale"], 0)) for each in folders)
    assert first == second


def test_the_depth_of_a_recursion_does_not_count(tmp_path):
    shop = load(tmp_path, SHOP)
    assert fingerprint(tmp_path, caught(shop["deep"], 5)) == fingerprint(tmp_path, caught(shop["deep"], 200))


def test_libraries_count_only_where_no_own_code_is(tmp_path):
    shop = load(tmp_path, SHOP)
    (tmp_path / "elsewhere").mkdir()
    identity = Fingerprints(tmp_path / "elsewhere").identify(caught(shop["sale"], 0))
    assert identity.place == f"{tmp_path.name}/shop.py, in price"


def test_without_frames(tmp_path):
    fingerprints = Fingerprints(tmp_path)
    one, two = (fingerprints.identify(ValueError("x"), task=task) for task in ("one", "two"))
    assert (one.place, two.place) == ("one", "two")
    assert one.fingerprint != two.fingerprint


def test_a_group_of_one_is_that_one():
    error = ValueError("x")
    assert unwrapped(ExceptionGroup("a", [ExceptionGroup("b", [error])])) is error
    both = ExceptionGroup("a", [error, error])
    assert unwrapped(both) is both


def test_causes_that_go_in_a_circle(tmp_path):
    first, second = ValueError("1"), KeyError("2")
    first.__cause__, second.__cause__ = second, first
    assert fingerprint(tmp_path, first) == fingerprint(tmp_path, first)
