"""`tests.services.browser`: the browser tests find what `script/test` finds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.services.browser import NAMES, find_chromium

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_found_on_the_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_chromium() is None
    (tmp_path / name).touch(0o755)
    assert find_chromium() == str(tmp_path / name)


def test_the_first_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_chromium() == str(tmp_path / NAMES[0])


def test_nothing_else_names_a_browsers_path() -> None:
    files = [path for folder in ("tests", "script", "benchmarks") for path in (ROOT / folder).rglob("*")]
    named = {
        path.name
        for path in files
        if path.is_file() and "__pycache__" not in path.parts
        if re.search(rb"/usr/bin/(chrom|google)", path.read_bytes())
    }
    assert named <= {Path(__file__).name}
