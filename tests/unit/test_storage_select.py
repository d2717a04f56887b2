from __future__ import annotations

import math
from pathlib import Path

import pytest

from fastopp.core.runtime import open_runtime
from fastopp.features.leapcell.storage import FREE_PLAN, LeapCellStorage
from fastopp.settings import Settings, SettingsError, load_settings
from fastopp.storage.local import LocalStorage
from fastopp.storage.object import ObjectStorage
from fastopp.storage.select import CACHE_FOLDER, NoObjectStorage, open_object_storage, open_storage
from fastopp.storage.tiered import TieredStorage
from fastopp.web.middleware.headers import asset_origin

S3 = {"S3_ACCESS_KEY": "an-access-key", "S3_SECRET_KEY": "a-secret-key", "S3_BUCKET": "os-bucket"}
LEAPCELL = {"FASTOPP_PLATFORM": "leapcell", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00",
            "DATABASE_URL": "postgresql://u:p@db.example/d"}  # fmt: skip


def settings(folder: Path, **environ: str) -> Settings:
    return load_settings({"UPLOAD_DIR": str(folder / "uploads"), **environ}, env_file=folder / "no.env")


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({}, LocalStorage),
        (S3, LocalStorage),
        (S3 | {"FLY_APP_NAME": "app", "SECRET_KEY": LEAPCELL["SECRET_KEY"]}, LocalStorage),
        (LEAPCELL, LocalStorage),
        (LEAPCELL | S3, TieredStorage),
        (LEAPCELL | S3 | {"STORAGE_TYPE": "filesystem"}, LocalStorage),
        (S3 | {"STORAGE_TYPE": "s3"}, TieredStorage),
    ],
)
def test_which_storage(tmp_path: Path, environ: dict[str, str], kind: type[object]) -> None:
    given = settings(tmp_path, **environ)
    storage = open_storage(given)
    assert type(storage) is kind
    assert given.uses_object_storage == (kind is TieredStorage)
    assert not (tmp_path / "uploads").exists(), "nothing is touched"


def test_the_cache(tmp_path: Path) -> None:
    storage = open_storage(settings(tmp_path, **S3, STORAGE_TYPE="s3", STORAGE_CACHE_MAX_MB="12"))
    assert isinstance(storage, TieredStorage)
    assert storage.cache.folder == tmp_path / "uploads" / CACHE_FOLDER
    assert storage.cache.max_bytes == 12_000_000


def test_the_object_storage(tmp_path: Path) -> None:
    amazon = open_object_storage(settings(tmp_path, **S3, S3_REGION="eu-west-1"))
    assert type(amazon) is ObjectStorage
    assert amazon.endpoint == "https://s3.eu-west-1.amazonaws.com"
    assert amazon._quota is None
    leapcell = open_object_storage(settings(tmp_path, **LEAPCELL, **S3))
    preset = LeapCellStorage("os-bucket", access_key="an-access-key", secret_key="a-secret-key")
    assert (leapcell.endpoint, leapcell._quota.quota) == (preset.endpoint, preset._quota.quota)
    with pytest.raises(NoObjectStorage, match="S3_BUCKET"):
        open_object_storage(settings(tmp_path))


@pytest.mark.parametrize(
    ("environ", "quota"),
    [
        ({}, (FREE_PLAN.files, FREE_PLAN.size)),
        ({"S3_QUOTA_MB": "1000"}, (FREE_PLAN.files, 1_000_000_000)),
        ({"S3_QUOTA_MB": "0", "S3_QUOTA_FILES": "0"}, None),
        ({"S3_QUOTA_MB": "0", "S3_QUOTA_FILES": "7"}, (7, math.inf)),
    ],
)
def test_the_quota(tmp_path: Path, environ: dict[str, str], quota: tuple[int, int] | None) -> None:
    guard = open_object_storage(settings(tmp_path, **LEAPCELL, **S3, **environ))._quota
    assert (guard and (guard.quota.files, guard.quota.size)) == quota


@pytest.mark.parametrize("url", ["objstorage.leapcell.io", "https://", "ftp://files.example", "https://a.example/?b"])
def test_addresses_are_checked(tmp_path: Path, url: str) -> None:
    for variable in ("S3_ENDPOINT_URL", "S3_CDN_URL"):
        with pytest.raises(SettingsError, match=variable):
            settings(tmp_path, **S3, **{variable: url})


def test_browsers_may_go_to_the_bucket(tmp_path: Path) -> None:
    cdn = {"S3_CDN_URL": "https://cdn.example/bucket"}
    endpoint = {"S3_ENDPOINT_URL": "https://s3.example"}
    assert asset_origin(settings(tmp_path)) == ""
    assert asset_origin(settings(tmp_path, **S3, **endpoint)) == ""
    assert asset_origin(settings(tmp_path, **S3, **endpoint, **cdn)) == "https://cdn.example"
    assert asset_origin(settings(tmp_path, **LEAPCELL, **S3, **endpoint, **cdn)) == (
        "https://cdn.example https://s3.example"
    )


async def test_the_runtime_closes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    async def close() -> None:
        closed.append(1)

    async with open_runtime(settings(tmp_path, **S3, STORAGE_TYPE="s3")) as runtime:
        assert isinstance(runtime.storage, TieredStorage)
        monkeypatch.setattr(runtime.storage.durable, "aclose", close)
    assert closed == [1]
