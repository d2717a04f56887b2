"""`oppman.py clean` moves FastOpp's own files away."""

from __future__ import annotations

from pathlib import Path

from fastopp.cli.clean import FASTOPPS_OWN

ROOT = Path(__file__).parents[2]


def test_no_page_about_fastopp_stays() -> None:
    assert {page.name for page in ROOT.glob("*.md")} <= set(FASTOPPS_OWN)
    assert FASTOPPS_OWN[-1] == "README.md", "an interrupted clean goes on while README.md is FastOpp's"
