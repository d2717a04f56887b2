from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastopp.storage.base import InvalidKey
from fastopp.storage.keys import (
    check_key,
    content_type_of,
    is_key,
    is_random_key,
    key_from_url,
    new_key,
    url_of,
)

OLD_NAME = "4f0c1d1e-1111-4222-8333-444455556666_jane_doe.jpeg"  # as FastOpp 0.4.8 wrote them

# Made of what keys trip over, so that most examples are nearly keys.
almost_keys = st.lists(
    st.sampled_from(["a", "photos", "/", ".", "..", "\\", "\x00", "%2f", "%2e", " ", "é", "\ud800", "~", ":", "\x7f"]),
    max_size=12,
).map("".join)


@given(st.one_of(almost_keys, st.text()))
def test_no_key_leaves_its_folder(text: str) -> None:
    if not is_key(text):
        with pytest.raises(InvalidKey):
            check_key(text)
        return
    path = PurePosixPath("/root") / text
    assert path.is_relative_to("/root")
    assert str(path) == f"/root/{text}"  # nothing was folded away
    assert not any(part.startswith(".") for part in path.parts)
    assert not set(text) & set("\\\x00\r\n\x7f")
    assert len(text.encode()) <= 1024


@given(st.one_of(almost_keys, st.text()))
def test_urls_and_keys_are_each_others_inverse(text: str) -> None:
    if is_key(text):
        assert key_from_url(url_of(text)) == text
        assert unquote(url_of(text)) == f"/static/uploads/{text}"
    found = key_from_url(f"/static/uploads/{text}")
    assert found is None or is_key(found)


def test_new_keys_are_random() -> None:
    keys = {new_key("photos", "jpg") for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"photos/[0-9a-f]{32}\.jpg", key) for key in keys)
    assert all(is_random_key(key) for key in keys)


@pytest.mark.parametrize(("prefix", "extension"), [("photos", "../x"), ("photos", ""), ("..", "jpg"), ("/x", "jpg")])
def test_new_keys_are_checked(prefix: str, extension: str) -> None:
    with pytest.raises(InvalidKey):
        new_key(prefix, extension)


def test_which_names_are_random() -> None:
    assert is_random_key("photos/4f0c1d1e-1111-4222-8333-444455556666.jpg")
    assert is_random_key("photos/4f0c1d1e-1111-4222-8333-444455556666_jane_doe.jpg")
    assert not is_random_key("sample_photos/jane_doe.jpg")
    assert not is_random_key("0123456789abcdef0123456789abcdef.x/logo.jpg")


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("/static/uploads/photos/a.jpg", "photos/a.jpg"),
        (
            "/static/uploads/photos/4f0c1d1e-1111-4222-8333-444455556666.jpeg?v=2",
            "photos/4f0c1d1e-1111-4222-8333-444455556666.jpeg",
        ),
        ("/static/uploads/photos/a%20b.jpg", "photos/a b.jpg"),
        ("/static/uploads/photos/%2e%2e/%2e%2e/test.db", None),
        ("/static/uploads/../../test.db", None),
        ("/static/uploads//etc/passwd", None),
        ("/static/uploads/", None),
        ("/static/css/app.css", None),
        ("https://images.example.com/static/uploads/photos/a.jpg", None),
        ("//evil.example/static/uploads/photos/a.jpg", None),
        ("http://[", None),
        ("", None),
        (None, None),
    ],
)
def test_key_from_url(url: str | None, key: str | None) -> None:
    assert key_from_url(url) == key


def test_content_types() -> None:
    assert content_type_of("photos/a.JPG") == "image/jpeg"
    assert content_type_of("photos/a.webp") == "image/webp"
    for unsafe in ("a.html", "a.svg", "a.js", "a.xml", "a", "html"):
        assert content_type_of(unsafe) == "application/octet-stream"
