"""LeapCell's numbers: the emulator and FastOpp each have those that they need, and they are the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from fastopp.platforms import base, leapcell, leapcell_manifest
from leapcell_emulator import documented, manifest
from leapcell_emulator.rules import Rules

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("emulators", "ours"),
    [
        (Rules().request_timeout, leapcell.LEAPCELL.request_timeout),
        (Rules().max_request_body, leapcell.LEAPCELL.max_request_body),
        (Rules().max_response_body, leapcell.LEAPCELL.max_response_body),
        (Rules().max_async_body, leapcell.LEAPCELL.max_async_body),
        (Rules().max_environment, leapcell.LEAPCELL.max_environment),
        (Rules().websockets, leapcell.LEAPCELL.websockets),
        (Rules().start_warning, leapcell.LEAPCELL_SLOW_START),
        (not Rules().read_only, leapcell.LEAPCELL.writable_root),
        (not Rules().freeze, leapcell.LEAPCELL.background_cpu),
        (documented.MIN_MEMORY, leapcell.LEAPCELL_MIN_MEMORY),
        (documented.MAX_MEMORY, leapcell.LEAPCELL_MAX_MEMORY),
        (documented.MEMORY_PER_CORE, leapcell.LEAPCELL_MEMORY_PER_CORE),
        (documented.PORT, leapcell.LEAPCELL_PORT),
        (documented.HEALTH_PATH, leapcell.LEAPCELL_HEALTH_PATH),
        ({documented.HEALTH_PATH, *documented.STRAY_HEALTH_PATHS} - base.HEALTH_PATHS, set()),
        (manifest.FILE_NAME, leapcell_manifest.FILE_NAME),
        (manifest.KEYS, leapcell_manifest.KEYS),
        (manifest.RUNTIMES, leapcell_manifest.RUNTIMES),
        (manifest.DEFAULT_MEMORY, leapcell_manifest.DEFAULT_MEMORY),
    ],
)
def test_a_number_is_the_same_in_both(emulators: object, ours: object) -> None:
    assert emulators == ours


def test_each_number_is_used() -> None:
    """A number that nothing reads would be trusted without effect."""
    source = "".join(
        path.read_text()
        for path in (ROOT / "packages/leapcell-emulator/src").rglob("*.py")
        if path.name != "documented.py"
    )
    tree = ast.parse(Path(documented.__file__).read_text())
    names = [node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)]
    assert [name for name in names if name not in source] == []
