"""Settings are read once, typed, with the platform's defaults; every mistake is said in one message."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, Json, SecretStr

from fastopp.settings import AppSettings, Settings, SettingsError, get_upload_dir, load_settings, read_variables
from fastopp.tasks.failure import mask

KEY = "mK3vX9qLw2TnZ8rBf5YhJ7dPc4sGa6Ue0RtVxNyWk1M"
NOWHERE = Path("/nonexistent/.env")
LEAPCELL = {
    "FASTOPP_PLATFORM": "leapcell",
    "SECRET_KEY": KEY,
    "DATABASE_URL": "postgresql://u:dbsecret@9x.leapcellpool.com:6438/d",
}


class ShopSettings(AppSettings):
    """Settings of an app."""

    shop_name: str = Field(description="Name over the door.")
    shop_shelves: int = Field(3, ge=1, description="Number of shelves.")
    shop_cities: Json[list[str]] = Field([], alias="CITIES", description="Cities of the branches, as JSON.")
    shop_key: SecretStr = Field(SecretStr(""), description="Key of the till.")


def load(**environ: str) -> Settings:
    return load_settings(environ, env_file=NOWHERE)


def problems(**environ: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    return {problem.variable: f"{problem.what} {problem.fix}" for problem in caught.value.problems}


def test_nothing_needs_to_be_set_on_ones_own_machine():
    settings = load()
    assert settings.development
    assert settings.database.backend == "sqlite"
    assert settings.upload_dir == Path("static/uploads")
    assert len(settings.secret_key.get_secret_value()) == 64
    assert settings.secret_key == load().secret_key, "sessions outlive a restart"


def test_the_development_key_differs_by_project(tmp_path, monkeypatch):
    here = load().secret_key
    monkeypatch.chdir(tmp_path)
    assert load().secret_key != here


def test_leapcells_defaults():
    settings = load(**LEAPCELL)
    assert not settings.development
    assert settings.upload_dir == Path("/tmp/uploads")
    assert get_upload_dir(settings) == Path("/tmp/uploads")
    assert (settings.db_pool_size, settings.db_max_overflow) == (2, 3)
    assert settings.s3_endpoint_url == "https://objstorage.leapcell.io"
    assert settings.leapcell_database_url == LEAPCELL["DATABASE_URL"]


def test_what_is_set_beats_the_platform():
    settings = load(**LEAPCELL, UPLOAD_DIR="/tmp/x", DB_POOL_SIZE="7", S3_ENDPOINT_URL="https://s3.example")
    assert settings.upload_dir == Path("/tmp/x")
    assert settings.db_pool_size == 7
    assert settings.s3_endpoint_url == "https://s3.example"


def test_environment_leapcell_says_both():
    environ = {name: value for name, value in LEAPCELL.items() if name != "FASTOPP_PLATFORM"}
    settings = load(**environ, ENVIRONMENT="LeapCell")
    assert settings.platform.name == "leapcell"
    assert settings.environment == "production"


@pytest.mark.parametrize("marker", ["PRODUCTION", "RAILWAY_ENVIRONMENT", "LEAPCELL_ENVIRONMENT"])
def test_production_markers(marker):
    assert not load(**{marker: "true", "SECRET_KEY": KEY}).development


def test_production_false_is_development():
    assert load(PRODUCTION="false").development


def test_database_dsn_is_an_alias():
    environ = {name: value for name, value in LEAPCELL.items() if name != "DATABASE_URL"}
    assert load(**environ, DATABASE_DSN=LEAPCELL["DATABASE_URL"]).database.backend == "postgresql"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "Not set"),
        ("short", "(got 5)"),
        ("dev_secret_key_change_in_production_and_so_on", "published"),
        ("x" * 40, "Too few"),
    ],
)
def test_production_needs_a_real_secret_key(key, says):
    assert says in problems(ENVIRONMENT="production", SECRET_KEY=key)["SECRET_KEY"]


def test_all_mistakes_are_said_at_once():
    found = problems(
        FASTOPP_PLATFORM="leapcell",
        PORT="eighty",
        DEBUG="perhaps",
        S3_BUCKET="b",
        OPS_TOKEN="short",
        STORAGE_TYPE="ftp",
    )
    assert found.keys() == {
        "PORT", "DEBUG", "SECRET_KEY", "OPS_TOKEN", "DATABASE_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY", "STORAGE_TYPE",
    }  # fmt: skip
    assert all(text.strip().endswith(".") for text in found.values())
    assert "dashboard" in found["DATABASE_URL"]


def test_a_wrong_database_url_is_said_without_its_password():
    text = problems(DATABASE_URL="mysql://u:hunter2@db/x")["DATABASE_URL"]
    assert "hunter2" not in text


def test_an_unknown_platform_is_a_mistake():
    assert "leapcell" in problems(FASTOPP_PLATFORM="heroku")["FASTOPP_PLATFORM"]


def test_storage_s3_needs_its_variables():
    assert problems(STORAGE_TYPE="s3").keys() == {"S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET"}


def test_leapcell_caps_the_environment():
    found = problems(**LEAPCELL, S3_CDN_URL="https://" + "x" * 3000)
    assert "3,072" in found["the environment"]
    assert load(**{**LEAPCELL, "FASTOPP_PLATFORM": "local"}, S3_CDN_URL="https://" + "x" * 3000)


def test_the_env_file_is_read_beneath_the_environment(tmp_path):
    file = tmp_path / ".env"
    file.write_text("PORT=9000\nHOST=0.0.0.0\nSOME_OTHER_PROGRAM=1\nS3_CDN_URL=https://cdn.example\n")
    settings = load_settings({"PORT": "9001"}, env_file=file)
    assert (settings.port, settings.host, settings.s3_cdn_url) == (9001, "0.0.0.0", "https://cdn.example")


def test_empty_values_count_as_not_set():
    assert load(DATABASE_URL="", PORT="", S3_BUCKET="").port == 8000


def test_no_secret_in_repr():
    environ = LEAPCELL | {"OPS_TOKEN": "o" * 12 + "p" * 12, "SHOP_KEY": "sk-or-v1-abc", "SHOP_NAME": "Tea"}
    settings = load(**environ)
    shop = settings.of(ShopSettings)
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(vars(settings)), repr(shop)):
        for secret in (KEY, "dbsecret", environ["OPS_TOKEN"], "sk-or-v1-abc"):
            assert secret not in text


def test_the_settings_of_an_app():
    settings = load(SHOP_NAME=" Tea ", shop_shelves="12", SHOP_CITIES='["Rome"]', SHOP_KEY="")
    shop = settings.of(ShopSettings)
    assert (shop.shop_name, shop.shop_shelves, shop.shop_cities) == ("Tea", 12, ["Rome"])
    assert shop is settings.of(ShopSettings), "they are read once"
    assert "shop_name" not in settings.model_dump()


def test_the_settings_of_an_app_without_arguments(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("SHOP_NAME=Tea\n")
    assert Settings().of(ShopSettings).shop_name == "Tea"


def test_mistakes_in_the_settings_of_an_app_are_reported_with_all_others():
    with pytest.raises(SettingsError) as caught:
        load_settings({"PORT": "many", "SHOP_SHELVES": "0"}, env_file=NOWHERE, app_settings=[ShopSettings])
    said = {problem.variable: str(problem) for problem in caught.value.problems}
    assert said.keys() == {"PORT", "SHOP_NAME", "SHOP_SHELVES"}
    assert said["SHOP_NAME"] == "SHOP_NAME: Not set. Name over the door."
    assert said["SHOP_SHELVES"].endswith("greater than or equal to 1. Number of shelves.")


def test_the_secrets_of_an_app_are_masked():
    settings = load(SHOP_NAME="Tea", SHOP_KEY="a-canary")
    settings.of(ShopSettings)
    assert mask("The till refused a-canary.", settings) == "The till refused ***."


def test_the_settings_of_an_app_count_as_part_of_the_environment():
    environ = {"SHOP_NAME": "Tea", "ANOTHER_PROGRAM": "1", "PORT": "1"}
    assert read_variables(environ, env_file=NOWHERE)[1].keys() == {"PORT"}
    ours = read_variables(environ, env_file=NOWHERE, app_settings=[ShopSettings])[1]
    assert ours.keys() == {"PORT", "SHOP_NAME"}
    with pytest.raises(SettingsError, match="bytes; leapcell allows"):
        load_settings(LEAPCELL | {"SHOP_NAME": "x" * 3000}, env_file=NOWHERE, app_settings=[ShopSettings])
