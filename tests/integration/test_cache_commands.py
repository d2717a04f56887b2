"""`oppman.py cache clear`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastopp.features.cache.commands import app
from tests.services.caches import Counter, get
from tests.services.databases import url_on
from tests.services.migrations import ROOT, migrated
from tests.services.ops_project import running

url = url_on("sqlite", fill=migrated)


def test_it_removes_everything_or_what_has_a_tag(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DATABASE_URL", url)
    compute = Counter()

    async def ask() -> tuple[bytes, str]:
        async with running(url, tmp_path) as project:
            return await get(project.runtime.shared_cache, compute)

    def clear(*options: str) -> str:
        done = CliRunner().invoke(app, ["clear", *options])
        return f"{done.exit_code} {' '.join(done.output.split())}"

    assert asyncio.run(ask()) == (b"1", "miss")
    assert clear("--tag", "other") == "0 Invalidated: other."
    assert asyncio.run(ask()) == (b"1", "hit")
    assert clear("--tag", "other", "--tag", "books") == "0 Invalidated: other, books."
    assert asyncio.run(ask()) == (b"2", "miss")
    assert clear() == "0 1 cached values were removed."
    assert asyncio.run(ask()) == (b"3", "miss")
