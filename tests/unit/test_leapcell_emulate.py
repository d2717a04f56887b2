"""`oppman.py leapcell emulate` in a clone, which lacks .env.leapcell: git ignores it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.features.leapcell.emulate import _missing


@pytest.mark.parametrize(
    ("pairs", "file", "missing"),
    [
        ([], "", {"SECRET_KEY", "FASTOPP_PLATFORM"}),
        (["SECRET_KEY=a"], "OPS_TOKEN=b\n", {"FASTOPP_PLATFORM"}),
        (["FASTOPP_PLATFORM=leapcell-persistent"], "SECRET_KEY=a\n", set()),
    ],
)
def test_what_a_clone_lacks(tmp_path: Path, pairs: list[str], file: str, missing: set[str]) -> None:
    """Without FASTOPP_PLATFORM nothing points to LeapCell, whose database has another address here."""
    if file:
        (tmp_path / ".env.leapcell").write_text(file)
    values = dict(pair.split("=", 1) for pair in _missing(tmp_path, pairs, None))
    assert values.keys() == missing
    assert values.get("FASTOPP_PLATFORM", "leapcell") == "leapcell"
