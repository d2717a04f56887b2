"""`script/lint` and pre-commit run the same tools."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def script_commands() -> list[str]:
    """Return what `script/lint` runs without options."""
    text = (ROOT / "script/lint").read_text(encoding="utf-8")
    _, _, commands = re.sub(r"(?ms)^if .*?^fi\n", "", text).partition('/environment"\n')
    return [line.replace(" --quiet", "") for line in commands.splitlines()]


def hook_commands() -> list[str]:
    """Return what the hooks run, by the names of the tools."""
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    hooks = local["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert [hook["entry"] for hook in hooks if not hook["entry"].startswith(".venv/bin/")] == []
    return [hook["entry"].removeprefix(".venv/bin/") for hook in hooks]


def test_pre_commit_runs_what_the_script_runs() -> None:
    assert script_commands()
    assert hook_commands() == script_commands()
