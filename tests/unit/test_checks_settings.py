"""Checks of settings: each fires on its mistake, and none on good ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fastopp.checks.catalogue import all_checks
from fastopp.checks.check import Mode
from fastopp.checks.errors import CannotCheck
from fastopp.checks.runner import run_checks, select
from fastopp.platforms.fly import FLY
from fastopp.platforms.leapcell import LEAPCELL
from tests.services.checks_project import GOOD, KEY, context, local, make_project, run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose app can be imported."""
    monkeypatch.syspath_prepend(tmp_path / "project")
    for name in ("shop", "shop.routes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return make_project(tmp_path / "project", shop="from fastapi import APIRouter\n\nrouter = APIRouter()\n")


async def test_a_good_project_has_no_findings(project: Path) -> None:
    report = await run_checks(select(all_checks(), platform=LEAPCELL, skip=["E121"]), context(project))
    assert report.findings == []
    assert report.unchecked == []


@pytest.mark.parametrize("key", ["", "short", "change-me-in-production-0123456789-abcdefgh"])
def test_secret_key(project: Path, key: str) -> None:
    (finding,) = run("E001", context(project, SECRET_KEY=key))
    assert "SECRET_KEY" in finding.message
    assert "oppman.py secrets" in finding.hint
    assert finding.level == "error"
    assert finding.link == "docs/checks.md#fastoppe001"
    if key:
        assert key not in finding.message


def test_short_secrets(project: Path) -> None:
    assert run("E002", context(project, OPS_TOKEN="a", BACKUP_KEY="b"))[1].message.startswith("BACKUP_KEY")
    assert run("E002", context(project)) == []


def test_ops_token(project: Path) -> None:
    assert run("W003", context(project, drop=("OPS_TOKEN",)))
    assert run("W003", context(project)) == []
    assert run("W003", local(project)) == []


def test_emergency_access(project: Path) -> None:
    assert run("W004", context(project, EMERGENCY_ACCESS_ENABLED="true"))
    assert run("W004", local(project, EMERGENCY_ACCESS_ENABLED="true")) == []


@pytest.mark.parametrize("change", [{"DEBUG": "true"}, {"LOG_LEVEL": "debug"}])
def test_debug(project: Path, change: dict[str, str]) -> None:
    assert len(run("W005", context(project, **change))) == 1
    assert run("W005", local(project, **change)) == []
    assert run("W005", context(project)) == []


def test_development_on_a_platform(project: Path) -> None:
    assert run("E006", context(project, ENVIRONMENT="development"))
    assert run("E006", context(project)) == []
    assert run("E006", local(project)) == []


def test_other_settings(project: Path) -> None:
    (finding,) = run("E007", context(project, PORT="many", DATABASE_URL="nix", S3_BUCKET="", SECRET_KEY="x"))
    assert finding.message.startswith("PORT")
    assert run("E007", context(project)) == []
    (finding,) = run("E007", context(project, DATABASE_READ_URL="sqlite:///x.db"))
    assert finding.message.startswith("DATABASE_READ_URL: Only PostgreSQL has replicas.")


def test_wake(project: Path) -> None:
    assert run("W008", context(project, drop=("LEAPCELL_ASYNC_URL",)))
    assert run("W008", context(project)) == []
    assert run("W008", context(project, drop=("LEAPCELL_ASYNC_URL",), FASTOPP_PLATFORM="leapcell-persistent")) == []


def test_superuser_password(project: Path) -> None:
    (finding,) = run("E009", context(project, SUPERUSER_PASSWORD="admin123"))
    assert "admin123" not in finding.message
    assert run("E009", context(project, SUPERUSER_PASSWORD="something else")) == []
    assert run("E009", context(project)) == []
    assert run("E009", local(project, SUPERUSER_PASSWORD="admin123")) == []


def filled(size: int) -> dict[str, str]:
    """Variables whose names and values have so many bytes together."""
    used = sum(len(name) + len(value) for name, value in GOOD.items())
    return {"SUPERUSER_EMAIL": "x" * (size - used - len("SUPERUSER_EMAIL"))}


@pytest.mark.parametrize(("size", "error", "warning"), [(2900, 0, 0), (2990, 0, 1), (3072, 0, 1), (3073, 1, 0)])
def test_environment(project: Path, size: int, error: int, warning: int) -> None:
    assert len(run("E021", context(project, **filled(size)))) == error
    assert len(run("W022", context(project, **filled(size)))) == warning


def test_too_big_an_environment_keeps_nobody_from_looking_further(project: Path) -> None:
    assert run("W005", context(project, DEBUG="true", **filled(5000)))
    assert run("E021", local(project, SUPERUSER_EMAIL="x" * 5000)) == []


@pytest.mark.parametrize("url", ["", "nix", "mysql://u@h/d"])
def test_database_url(project: Path, url: str) -> None:
    (finding,) = run("E101", context(project, DATABASE_URL=url))
    assert finding.message.startswith("DATABASE_URL")


def test_sqlite_does_not_last(project: Path) -> None:
    assert run("E102", context(project, DATABASE_URL="sqlite:////tmp/a.db"))
    assert run("E102", context(project)) == []
    assert run("E102", local(project)) == []


@pytest.mark.parametrize(("mode", "count"), [("disable", 1), ("allow", 1), ("prefer", 1), ("require", 0)])
def test_tls_on_leapcell(project: Path, mode: str, count: int) -> None:
    url = f"postgresql://u:p@9x.leapcellpool.com/d?sslmode={mode}"
    assert len(run("E103", context(project, DATABASE_URL=url))) == count
    assert run("W104", context(project, DATABASE_URL=url)) == []


@pytest.mark.parametrize(
    ("url", "count"),
    [
        ("postgresql://u:p@db.example.com/d", 1),
        ("postgresql://u:p@db.example.com/d?sslmode=prefer", 1),
        ("postgresql://u:p@db.example.com/d?sslmode=require", 0),
        ("postgresql://u:p@localhost/d", 0),
        ("postgresql://u:p@127.0.0.1/d", 0),
        ("postgresql://u:p@[::1]/d", 0),
        ("postgresql://u:p@top.internal/d", 0),
        ("postgresql:///d", 0),
        ("sqlite:///./test.db", 0),
    ],
)
def test_tls_elsewhere(project: Path, url: str, count: int) -> None:
    assert len(run("W104", local(project, ENVIRONMENT="production", SECRET_KEY=KEY, DATABASE_URL=url))) == count


def test_object_storage_settings(project: Path) -> None:
    messages = [finding.message for finding in run("E201", context(project, S3_BUCKET="", S3_CDN_URL="nix"))]
    assert sorted(message.partition(":")[0] for message in messages) == ["S3_BUCKET", "S3_CDN_URL"]
    assert run("E201", context(project)) == []


S3 = ("S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET")


def test_files_do_not_last(project: Path) -> None:
    assert run("W202", context(project, drop=S3))
    assert run("W202", context(project, STORAGE_TYPE="filesystem"))
    assert run("W202", context(project)) == []
    assert run("W202", local(project)) == []


def test_cdn(project: Path) -> None:
    assert run("W203", context(project, drop=("S3_CDN_URL",)))
    assert run("W203", context(project, drop=(*S3, "S3_CDN_URL"))) == []
    assert run("W203", context(project)) == []


@pytest.mark.parametrize(
    ("folder", "count"), [("static/uploads", 1), ("/data", 1), ("/tmp/../data", 1), ("/tmp", 0), ("/tmp/uploads", 0)]
)
def test_folder_not_writable(project: Path, folder: str, count: int) -> None:
    assert len(run("E204", context(project, UPLOAD_DIR=folder))) == count
    assert run("E204", local(project, UPLOAD_DIR=folder)) == []


def test_what_needs_settings_cannot_look_without_them(project: Path) -> None:
    with pytest.raises(CannotCheck, match="settings are invalid"):
        run("W005", context(project, SECRET_KEY=""))


async def test_what_cannot_look_is_told(project: Path) -> None:
    checks = select(all_checks(), platform=LEAPCELL, skip=["E121"])
    report = await run_checks(checks, context(project, SECRET_KEY=""))
    assert [finding.id for finding in report.findings] == ["fastopp.E001"]
    assert {each.reason for each in report.unchecked} == {"The settings are invalid."}
    assert report.ran + len(report.unchecked) == len(checks)


def test_selection() -> None:
    static = {each.id for each in select(all_checks())}
    assert "fastopp.E001" in static
    assert static.isdisjoint({"fastopp.E110", "fastopp.E301", "fastopp.W401"})
    assert {"fastopp.E301"} < {each.id for each in select(all_checks(), platform=LEAPCELL)}
    assert {each.mode for each in select(all_checks(), platform=LEAPCELL, modes=[Mode.LIVE])} == {Mode.LIVE}
    assert "fastopp.E001" not in {
        each.id for each in select(all_checks(), platform=LEAPCELL, skip=["E001", "fastopp.E002"])
    }


def test_checks_of_one_platform_are_not_run_for_another() -> None:
    elsewhere = {each.id for each in select(all_checks(), platform=FLY, modes=list(Mode))}
    assert {"fastopp.E001", "fastopp.E103", "fastopp.W008", "fastopp.W341", "fastopp.W343"} < elsewhere
    assert elsewhere.isdisjoint({"fastopp.E301", "fastopp.E321", "fastopp.W401"})


def test_every_check_says_what_it_is() -> None:
    ids = [each.id for each in all_checks()]
    assert len(ids) == len(set(ids))
    assert len({each.rpartition(".")[2][1:] for each in ids}) == len(ids), "a number is one check"
    for each in all_checks():
        assert each.level.value[0].upper() == each.id.removeprefix("fastopp.")[0]
        assert each.means.endswith((".", ":"))
        assert each.fix.endswith((".", "?"))
        assert each.title
        assert not each.title.endswith(".")


def test_weak_secrets(project: Path) -> None:
    weak = {"OPS_TOKEN": "password" * 4 + "1", "BACKUP_KEY": "0123456789abcdefghij"}
    found = run("W010", context(project, **weak))
    assert [finding.message.partition(":")[0] for finding in found] == ["OPS_TOKEN", "BACKUP_KEY"]
    assert all(value not in finding.message for finding in found for value in weak.values())
    assert run("W010", local(project, **weak)) == []
    assert run("W010", context(project)) == []
