"""A bucket's listing, read by ourselves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fastopp.storage.base import StorageUnavailable, StoredFile
from fastopp.storage.s3.plain_listing import Page, parsed

XMLNS = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def entry(name: str, size: int = 3) -> str:
    return (
        f"<Contents><Key>{name}</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified>"
        f"<ETag>&quot;{'0' * 32}&quot;</ETag><Size>{size}</Size></Contents>"
    )


@pytest.mark.parametrize("xmlns", ["", XMLNS])
def test_a_page(xmlns: str) -> None:
    rest = "<IsTruncated>true</IsTruncated><NextContinuationToken>a b</NextContinuationToken>"
    page = parsed("b", f"<ListBucketResult{xmlns}>{entry('a &amp; b/ü.txt')}{entry('x//y')}{rest}</ListBucketResult>")
    modified = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    kind = "text/plain; charset=utf-8"
    assert page == Page([StoredFile("a & b/ü.txt", 3, f'"{"0" * 32}"', kind, modified)], ["x//y"], "a b")


@pytest.mark.parametrize(
    "name", ["../x", "a/../x", "a/./x", "a//b", "/a", "//", ".", "..", "a/..", "a/", "a&#13;b", "a&#127;b"]
)
def test_names_that_are_no_paths(name: str) -> None:
    page = parsed("b", f"<R>{entry(name)}</R>")
    assert len(page.refused) == 1
    assert page.files == []


@pytest.mark.parametrize("name", ["a", "...", "a..b", "..a/b..", ".a/b", "a b/c+d%2F.txt", "a\\b"])
def test_names_that_are(name: str) -> None:
    assert [file.key for file in parsed("b", f"<R>{entry(name)}</R>").files] == [name]


def test_the_folders_that_consoles_make_are_nothing() -> None:
    assert parsed("b", f"<R>{entry('photos/', 0)}</R>") == Page()


@pytest.mark.parametrize("text", ["", "<html>", "no XML", f"<R>{entry('a').replace('3<', 'x<')}</R>"])
def test_an_answer_that_is_none(text: str) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be read"):
        parsed("b", text)
