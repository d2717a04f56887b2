"""Where the process runs is detected, with the evidence said."""

from __future__ import annotations

import pytest

from fastopp.core.features import platform_features
from fastopp.platforms.base import Platform
from fastopp.platforms.descriptions import default_of, environments, kill_times, platforms_with
from fastopp.platforms.detection import PLATFORMS, PlatformDetector, detect_platform, object_storage_platform
from fastopp.platforms.leapcell import LEAPCELL
from fastopp.platforms.local import LOCAL
from fastopp.platforms.settings import WAKE_VARIABLE
from fastopp.settings import Settings, load_settings

LEAPCELL_KEYWORDS = "host=9x.leapcellpool.com port=6438 user=abc password=secret dbname=abc sslmode=require"
LEAPCELL_DATABASE = "postgresql://abc:secret@9x.leapcellpool.com:6438/abc?sslmode=require"
LEAPCELL_BUCKET = "https://objstorage.leapcell.io"


@pytest.mark.parametrize(
    ("environ", "writable", "name", "evidence"),
    [
        ({}, True, "local", "nothing points"),
        ({"FASTOPP_PLATFORM": "leapcell"}, True, "leapcell", "FASTOPP_PLATFORM=leapcell"),
        ({"FASTOPP_PLATFORM": "Local", "LEAPCELL_APP_NAME": "x"}, True, "local", "FASTOPP_PLATFORM=local"),
        ({"FASTOPP_PLATFORM": "heroku", "FLY_APP_NAME": "x"}, True, "fly", "FLY_APP_NAME=x"),
        ({"LEAPCELL_APP_NAME": "shop"}, True, "leapcell", "LEAPCELL_APP_NAME=shop"),
        ({"LEAPCELL_APP_NAME": "shop", "FLY_APP_NAME": "x"}, True, "leapcell", "LEAPCELL_APP_NAME"),
        ({"ENVIRONMENT": "LeapCell"}, True, "leapcell", "ENVIRONMENT=leapcell"),
        ({"ENVIRONMENT": "production"}, True, "local", "nothing points"),
        ({"FLY_APP_NAME": "shop"}, False, "fly", "FLY_APP_NAME=shop"),
        ({"DATABASE_URL": LEAPCELL_DATABASE}, False, "leapcell", "DATABASE_URL points to 9x.leapcellpool.com"),
        ({"DATABASE_DSN": LEAPCELL_DATABASE}, False, "leapcell", "DATABASE_URL points to 9x.leapcellpool.com"),
        ({"DATABASE_URL": LEAPCELL_KEYWORDS}, False, "leapcell", "DATABASE_URL points to 9x.leapcellpool.com"),
        ({"S3_ENDPOINT_URL": LEAPCELL_BUCKET}, False, "leapcell", "S3_ENDPOINT_URL points to"),
        ({"DATABASE_URL": LEAPCELL_DATABASE}, True, "local", "writable, as on a laptop"),
        ({"DATABASE_URL": "postgresql://u:p@notleapcellpool.com/x"}, False, "local", "nothing points"),
        ({"DATABASE_URL": "postgresql://u:p@[::1/x"}, False, "local", "nothing points"),
    ],
)
def test_evidence_is_weighed(environ, writable, name, evidence):
    platform = detect_platform(environ, root_writable=writable)
    assert platform.name == name
    assert evidence in " ".join(platform.evidence)


def test_evidence_never_holds_a_password():
    platform = detect_platform({"DATABASE_URL": LEAPCELL_DATABASE}, root_writable=False)
    assert "secret" not in repr(platform)


def test_the_read_only_project_folder_is_probed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert detect_platform({"DATABASE_URL": LEAPCELL_DATABASE}).name == "local"


def test_a_new_platform_is_one_value(monkeypatch: pytest.MonkeyPatch):
    new = Platform(
        name="railway",
        title="Railway",
        variables=("RAILWAY_PROJECT_ID",),
        environments=("railway",),
        domains=("rlwy.net",),
        default_environment="production",
    )
    monkeypatch.setitem(PLATFORMS, new.name, new)
    database = "postgresql://u:p@x.proxy.rlwy.net:1/d"
    for environ, evidence in (
        ({"RAILWAY_PROJECT_ID": "x"}, "RAILWAY_PROJECT_ID=x"),
        ({"ENVIRONMENT": "railway"}, "ENVIRONMENT=railway"),
        ({"DATABASE_URL": database}, "DATABASE_URL points to x.proxy.rlwy.net"),
    ):
        found = detect_platform(environ, root_writable=False)
        assert (found.name, found.evidence[0]) == ("railway", evidence)
    assert detect_platform({"DATABASE_URL": database}, root_writable=True).name == "local"
    assert (
        load_settings({"FASTOPP_PLATFORM": "railway", "SECRET_KEY": "k3y-" + "abcdefghijklm" * 3}).development is False
    )


def test_the_variables_of_platforms_are_settings():
    for platform in PLATFORMS.values():
        assert {name.lower() for name in platform.variables} <= Settings.model_fields.keys()
    assert WAKE_VARIABLE.lower() in Settings.model_fields


def test_the_object_storage_of_a_platform():
    assert object_storage_platform(f"{LEAPCELL_BUCKET}/") is LEAPCELL
    for url in ("", "https://s3.example", "https://", "https://[::1"):
        assert object_storage_platform(url) is None


def test_defaults_in_sentences():
    assert default_of("default_pool_size") == "2 on LeapCell, otherwise 5"
    assert default_of("object_storage_files", at="at") == "5000 at LeapCell"
    assert platforms_with("requires_database_url") == "LeapCell"
    assert environments() == "`leapcell` means production on LeapCell"
    assert kill_times() == "Fly.io kills a process after 5, unless `kill_timeout` in fly.toml is set."


def test_features_of_platforms():
    assert [feature.name for feature in platform_features()] == ["fly", "leapcell"]


def test_a_platform_is_a_set_of_capabilities():
    assert LOCAL.background_cpu
    assert LOCAL.persistent_disk
    assert not LEAPCELL.background_cpu
    assert not LEAPCELL.persistent_disk
    assert LEAPCELL.requires_tls
    assert LEAPCELL.request_timeout == 15 * 60
    assert PLATFORMS["leapcell-persistent"].background_cpu


def test_the_proposals_names():
    environ = {"LEAPCELL_APP_NAME": "shop", "S3_ACCESS_KEY": "key", "DATABASE_URL": LEAPCELL_DATABASE}
    assert PlatformDetector.is_leapcell(environ)
    assert not PlatformDetector.is_leapcell({})
    config = PlatformDetector.get_platform_config(environ)
    assert config["platform"] == "leapcell"
    assert config["upload_dir"] == "/tmp/uploads"
    assert config["use_object_storage"] is True
    assert "secret" not in repr(config)
