"""The user's certificate authority: kept, good for this machine's names, and of no use for others."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from leapcell_emulator.authority import Authority, AuthorityUnusable, host_name


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Connect in memory. Raises `ssl.SSLError`."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [ours, theirs]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
        if not waiting:
            return
    raise AssertionError("no end of it")


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.certificate))


def test_a_browser_that_trusts_it_once_trusts_it_in_later_runs(tmp_path: Path) -> None:
    client = trusting(Authority(tmp_path / "state"))
    server = Authority(tmp_path / "state").server_context("shop.leapcell.localhost", tmp_path)
    for name in ("shop.leapcell.localhost", "localhost", "127.0.0.1"):
        shake_hands(server, client, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(server, client, "other.localhost")


def test_it_cannot_speak_for_the_names_of_others(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.server_context("example.com", tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        shake_hands(server, trusting(authority), "example.com")


def test_its_key_is_for_its_owner_and_no_other_file_stays(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "state")
    authority.server_context("a.leapcell.localhost", tmp_path)
    assert (tmp_path / "state" / "authority" / "root.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["authority", "root.key", "root.pem", "state"]


def test_an_authority_that_is_damaged(tmp_path: Path) -> None:
    Authority(tmp_path)
    (tmp_path / "authority" / "root.key").write_text("nothing")
    with pytest.raises(AuthorityUnusable, match=r"cannot be used: .* Delete the folder"):
        Authority(tmp_path)


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("shop", "shop"),
        ("My Shop_2", "my-shop-2"),
        ("-x-", "x"),
        ("日本", "app"),
        ("a" * 100, "a" * 40),
    ],
)
def test_the_name_of_a_project(project: str, name: str) -> None:
    assert host_name(project) == f"{name}.leapcell.localhost"
