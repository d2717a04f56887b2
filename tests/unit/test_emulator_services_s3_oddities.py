"""Listings as users have seen them at LeapCell."""

from __future__ import annotations

import re
from urllib.parse import quote_plus, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leapcell_emulator.services import s3_oddities

KEYS = st.lists(st.text("abc/%+ &<é.", min_size=1, max_size=12), max_size=4)


def listing(keys: list[str], folders: list[str], *, encoded: bool = False) -> bytes:
    """As rclone writes it; `encoded` as it does when it was asked for encoded keys."""
    write = (lambda key: quote_plus(key, safe="/")) if encoded else (lambda key: key)
    contents = "".join(f"\n <Contents>\n  <Key>{escape(write(key))}</Key>\n </Contents>" for key in keys)
    prefixes = "".join(
        f"\n <CommonPrefixes>\n  <Prefix>{escape(write(key))}</Prefix>\n </CommonPrefixes>" for key in folders
    )
    echo = "<EncodingType>url</EncodingType>" if encoded else ""
    return (
        f"<ListBucketResult>{echo}<Prefix>a/b</Prefix><IsTruncated>true</IsTruncated>{prefixes}{contents}"
        f"<NextContinuationToken>t</NextContinuationToken><KeyCount>{len(keys) + len(folders)}</KeyCount>"
        "</ListBucketResult>"
    ).encode()


def found(xml: bytes, path: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(xml).iterfind(path)]


@settings(deadline=None)
@given(KEYS, KEYS, st.booleans())
def test_keys_are_encoded_once_and_nothing_says_so(keys: list[str], folders: list[str], encoded: bool) -> None:
    odd = s3_oddities.encode_keys(listing(keys, folders, encoded=encoded))
    shown = found(odd, "Contents/Key"), found(odd, "CommonPrefixes/Prefix")
    assert all(re.fullmatch(r"[\w.~%-]*", text) for texts in shown for text in texts)
    assert [[unquote(text) for text in texts] for texts in shown] == [keys, folders]
    assert found(odd, "EncodingType") == []
    assert found(odd, "Prefix") == ["a/b"]


@settings(deadline=None)
@given(KEYS, KEYS)
def test_an_empty_listing_is_the_whole_of_it(keys: list[str], folders: list[str]) -> None:
    odd = s3_oddities.empty(listing(keys, folders))
    assert found(odd, "Contents") == found(odd, "CommonPrefixes") == found(odd, "NextContinuationToken") == []
    assert (found(odd, "KeyCount"), found(odd, "IsTruncated")) == (["0"], ["false"])


@pytest.mark.parametrize(
    ("prefix", "deaf"), [("", False), ("photos", False), ("photos/", True), ("/", True), ("a%2Fb", True)]
)
def test_which_prefixes_find_nothing(prefix: str, deaf: bool) -> None:
    assert s3_oddities.is_deaf_to({"prefix": prefix}) is deaf
