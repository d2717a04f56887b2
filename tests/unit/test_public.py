"""The public names: each can be imported, is known to type checkers, and is imported only when it is asked for."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import fastopp
from fastopp import LeapCellStorage, Settings, TaskService, migrate_leapcell
from fastopp._public import MODULES
from fastopp.features.leapcell.migrations import WithinEventLoop
from fastopp.settings import SettingsError
from fastopp.storage.base import StorageMisconfigured
from fastopp.tasks.service import NoRuntime
from tests.services.migrations import HEAD

SOURCE = Path(fastopp.__file__)
KEYS = {"S3_BUCKET": "os-1", "S3_ACCESS_KEY": "a-key", "S3_SECRET_KEY": "a-canary"}


@pytest.mark.parametrize("name", MODULES)
def test_each_can_be_imported(name: str) -> None:
    assert getattr(fastopp, name) is getattr(sys.modules[MODULES[name]], name)


def test_type_checkers_know_the_same_names() -> None:
    (block,) = (node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == MODULES
    assert set(fastopp.__all__) == {*MODULES, "__version__"}


def test_none_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, fastopp; print([n for n in ('pydantic', 'fastapi', 'sqlalchemy', 'typer') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_name_that_is_not_public() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        fastopp.Nothing  # noqa: B018 - asking is what is tested


def test_settings_without_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "8123")
    assert Settings().port == 8123
    monkeypatch.setenv("PORT", "80000")
    with pytest.raises(SettingsError, match="PORT"):
        Settings()


def test_leapcells_storage_without_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StorageMisconfigured, match="S3_BUCKET"):
        LeapCellStorage()
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    storage = LeapCellStorage()
    assert storage.bucket == "os-1"
    assert "a-canary" not in repr(storage)


def test_a_task_service_says_what_it_needs() -> None:
    with pytest.raises(NoRuntime) as raised:
        TaskService()
    assert "TasksDep" in raised.value.hint


def test_migrating_from_a_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/test.db")
    assert migrate_leapcell().current == HEAD

    async def within() -> None:
        with pytest.raises(WithinEventLoop):
            migrate_leapcell()

    asyncio.run(within())
