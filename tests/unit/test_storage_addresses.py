from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.settings import load_settings
from fastopp.storage.addresses import key_at
from fastopp.storage.base import Storage
from fastopp.storage.select import open_storage
from tests.storage_conformance import ODD_KEYS

S3 = {"S3_ACCESS_KEY": "an-access-key", "S3_SECRET_KEY": "a-secret-key", "S3_BUCKET": "os-bucket",
      "S3_ENDPOINT_URL": "https://s3.example/"}  # fmt: skip
CDN = {"S3_CDN_URL": "https://cdn.example/os-bucket/"}


def storage(folder: Path, **environ: str) -> Storage:
    return open_storage(load_settings({"UPLOAD_DIR": str(folder), **environ}, env_file=folder / "no.env"))


def test_a_row_written_under_any_setting_is_understood_under_any(tmp_path: Path) -> None:
    every = [
        storage(tmp_path, **S3, **CDN, STORAGE_TYPE="filesystem"),
        storage(tmp_path, **S3, **CDN, STORAGE_TYPE="s3"),
        storage(tmp_path, **S3, STORAGE_TYPE="s3"),
    ]
    for key in (*ODD_KEYS, "photos/100%.jpg", "photos/%41.jpg"):
        for writing in every:
            for reading in every[:2]:
                assert key_at(reading, writing.url(key)) == key


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://cdn.example/os-bucket/photos/a%20b.jpg", "photos/a b.jpg"),
        ("https://CDN.example/os-bucket/photos/a.jpg?v=1", "photos/a.jpg"),
        ("http://cdn.example/os-bucket/photos/a.jpg", "photos/a.jpg"),
        ("https://cdn.example/os-bucket/photos/a+b.jpg", "photos/a+b.jpg"),
        ("https://cdn.example/os-bucket/uploads/photos/a.jpg", "photos/a.jpg"),
        ("https://s3.example/os-bucket/photos/a.jpg", "photos/a.jpg"),
        ("https://os-bucket.s3.us-east-1.amazonaws.com/photos/a.jpg", "photos/a.jpg"),
        ("/static/uploads/photos/a.jpg", "photos/a.jpg"),
        ("https://s3.example/another/photos/a.jpg", None),
        ("https://cdn.example/os-bucket-2/photos/a.jpg", None),
        ("https://cdn.example/os-bucket/%2e%2e/photos/a.jpg", None),
        ("https://evil.example/os-bucket/photos/a.jpg", None),
        ("https://cdn.example/os-bucket/", None),
        ("http://[", None),
        ("", None),
        (None, None),
    ],
)
def test_key_at(tmp_path: Path, url: str | None, key: str | None) -> None:
    assert key_at(storage(tmp_path, **S3, **CDN), url) == key
