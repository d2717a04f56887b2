"""A project compared with its deployed site: settings by fingerprints, release, migrations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastopp.core.release_id import content_id
from fastopp.features.deployment.fingerprints import NONCE_BYTES, compare, fingerprints
from tests.services.site import SECRET_KEY, Site, copy_project, run_command, succeed

TOKEN = "t0ken-of-these-tests-0123456789-abcdefghijklmnop"
NONCE = bytes(NONCE_BYTES)


def test_a_fingerprint_depends_on_everything() -> None:
    seen = {
        fingerprints({name: value}, token, nonce)[name]
        for name in ("A", "B")
        for value in ("1", "2")
        for token in ("t", "u")
        for nonce in (NONCE, NONCE[:-1] + b"\1")
    }
    assert len(seen) == 16
    assert fingerprints({"a": " 1 ", "B": " "}, "t", NONCE) == fingerprints({"A": "1"}, "t", NONCE)


def test_each_verdict() -> None:
    here = {"SAME": "1", "OTHER": "1", "MISSING": "1", "QUOTED": "two words", "empty": ""}
    there = {"SAME": "1", "OTHER": "2", "QUOTED": "'two words'", "EXTRA": "1", "PATH": "/bin", "UNSET": ""}
    found = compare(fingerprints(here, "t", NONCE), there, ["EXTRA", "SAME", "UNSET"], "t", NONCE)
    assert found.verdicts == {"SAME": "same", "OTHER": "different", "MISSING": "missing", "QUOTED": "quoted"}
    assert found.extra == ["EXTRA"]
    assert found
    assert not compare(fingerprints({"SAME": "1"}, "t", NONCE), there, ["SAME"], "t", NONCE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a few settings, one of which was pasted with its quotes."""
    folder = tmp_path_factory.mktemp("drift")
    project = copy_project(folder / "project")
    environ = {
        "ENVIRONMENT": "production",
        "SECRET_KEY": SECRET_KEY,
        "OPS_TOKEN": TOKEN,
        "DATABASE_URL": f"sqlite:///{folder}/app.db",
        "UPLOAD_DIR": str(folder / "uploads"),
        "OWN_NAME": "'My shop <of me>'",
        "DB_TIMEOUT": "20",
        "OWN_KEY": "of an app",
    }
    with Site(project, environ) as running:
        succeed(project, "oppman.py", "migrate", environ={"DATABASE_URL": environ["DATABASE_URL"]})
        yield running


def env_file(site: Site, **changes: str) -> str:
    values = {name: value.strip("'") for name, value in site.environ.items()} | {"SITE_URL": site.url} | changes
    text = "# A comment\n" + "".join(f"{name}='{value}'\n" for name, value in values.items() if value)
    (site.project / ".env.leapcell").write_text(text)
    return text


def test_render(site: Site) -> None:
    env_file(site, S3_BUCKET="")
    shown = succeed(site.project, "oppman.py", "leapcell", "env", "render")
    assert f"SECRET_KEY={SECRET_KEY}\n" in shown
    assert "OWN_NAME=My shop <of me>\n" in shown
    assert "#" not in shown
    assert "S3_BUCKET" not in shown
    env_file(site, SECRET_KEY="x" * 3100)
    refused = run_command(site.project, "oppman.py", "leapcell", "env", "render")
    assert (refused.returncode, "LeapCell allows 3,072" in refused.stderr) == (1, True)


def test_diff(site: Site) -> None:
    env_file(site, DB_TIMEOUT="", OWN_KEY="another", S3_REGION="eu")
    command = ("oppman.py", "leapcell", "env", "diff")
    found = run_command(site.project, *command)
    assert found.returncode == 1, found.stderr
    rows = dict(line.split("\t") for line in found.stdout.splitlines()[1:])
    assert rows == {
        "DB_TIMEOUT": "only at the site",
        "OWN_NAME": "quoted",
        "OWN_KEY": "different",
        "S3_REGION": "missing",
        "SITE_URL": "missing",
    }
    for secret in (SECRET_KEY, TOKEN, "of an app"):
        assert secret not in found.stdout + found.stderr
    wrong = run_command(site.project, *command, "--token-env", "WRONG", environ={"WRONG": "x" * 30})
    assert (wrong.returncode, "does not accept this token" in wrong.stderr) == (1, True)


def test_drift(site: Site) -> None:
    command = ("oppman.py", "check", "--env-file", ".env.leapcell", "--url", site.url, "--drift", "--json")
    env_file(site, SITE_URL="", OWN_NAME=site.environ["OWN_NAME"].strip("'"))
    report = json.loads(run_command(site.project, *command).stdout)
    found = {each["id"]: each["message"] for each in report["findings"]}
    assert "quotation marks" in found["fastopp.W351"]
    assert "fastopp.E353" not in found
    # It runs from the repository's files without a build, so its release is the version.
    assert [each["id"] for each in report["unchecked"]] == ["fastopp.W352"]
    env_file(site, SITE_URL="", RELEASE="r9")
    report = json.loads(run_command(site.project, *command).stdout)
    assert "here it is r9" in {each["id"]: each["message"] for each in report["findings"]}["fastopp.W352"]
    newest = max((site.project / "alembic" / "versions").glob("*.py"))
    text, taken_away = newest.read_text(), newest.with_suffix(".txt")
    newest.rename(taken_away)
    report = json.loads(run_command(site.project, *command).stdout)
    taken_away.rename(newest)
    assert "the newest here is" in {each["id"]: each["message"] for each in report["findings"]}["fastopp.E353"]
    assert newest.read_text() == text
    nowhere = json.loads(run_command(site.project, *command[:-4], "--drift", "--json").stdout)
    assert {"fastopp.W351", "fastopp.W352", "fastopp.E353"} <= {each["id"] for each in nowhere["unchecked"]}
    shown = succeed(site.project, "oppman.py", "release").strip()
    assert shown == content_id(Path(site.project))
