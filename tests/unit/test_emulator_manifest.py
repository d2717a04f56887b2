"""leapcell.yaml: the official files, and every way to get one wrong."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastopp.platforms import leapcell_manifest
from leapcell_emulator.manifest import EXAMPLE, ManifestError, parse_manifest, read_manifest

START = "startCommand: uvicorn main:app --port 8080"


def test_the_official_example() -> None:
    # leapcell/fastapi-hackernews-clone, without a line end after its last line.
    manifest = parse_manifest(
        "runtime: python\nstartCommand: uvicorn main:app --port 8080\n"
        "buildCommand: pip install -r requirements.txt\nport: 8080\nmemory: 512mb"
    )
    assert manifest.start_command == "uvicorn main:app --port 8080"
    assert (manifest.port, manifest.memory, manifest.warnings) == (8080, 512, ())
    assert round(manifest.cpu_share, 3) == 0.289


def test_our_example_and_its_keys() -> None:
    manifest = parse_manifest(EXAMPLE)
    assert manifest.as_keys()["memory"] == "512mb"
    assert manifest.warnings == ()


def test_only_a_start_command() -> None:
    manifest = parse_manifest(START)
    assert (manifest.runtime, manifest.port, manifest.memory, manifest.build_command) == ("python", 8080, 512, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("- a\n- b", "is not a list of keys and values"),
        ("just words", "is not a list of keys and values"),
        ("startCommand: a: b", "is not YAML in line 1"),
        ("port: 8080\n\tmemory: 1", "is not YAML in line 2"),
        ("port: 8080", "has no startCommand"),
        ("startCommand: ''", "has no startCommand"),
        ("startCommand: [a, b]", "startCommand is a list, not a command"),
        ("startCommand: 5", "startCommand is a number, not a command"),
        ("startCommand: yes", "startCommand is a yes or no, not a command"),
        (START + "\nbuildCommand: {a: b}", "buildCommand is a mapping"),
        (START + "\nport: eighty", "port is 'eighty'"),
        (START + "\nport: 0", "port is 0"),
        (START + "\nport: 70000", "port is 70000"),
        (START + "\nport: true", "port is True"),
        (START + "\nport: 80.5", "port is 80.5"),
        (START + "\nmemory: much", "memory is 'much'"),
        (START + "\nmemory: 64mb", "memory is 64 MB"),
        (START + "\nmemory: 8gb", "memory is 8192 MB"),
        (START + "\nmemory: 512kb", "memory is '512kb'"),
        (START + "\nmemory: true", "memory is True"),
        (START + "\nmemory:", "memory is None"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as refused:
        parse_manifest(text)
    assert message in str(refused.value)
    with pytest.raises(leapcell_manifest.ManifestError):
        leapcell_manifest.parse_manifest(text)


@pytest.mark.parametrize(("written", "megabytes"), [("512", 512), ("512MB", 512), ("1 GiB", 1024), ('"2048mb"', 2048)])
def test_memory(written: str, megabytes: int) -> None:
    assert parse_manifest(f"{START}\nmemory: {written}").memory == megabytes


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (START + "\nregion: us", "the key region"),
        (START + "\nruntime: cobol", "the runtime cobol"),
        (START + "\nruntime: python3.11", "It is taken for python."),
        (START + "\nruntime: nodejs", "It is taken for node."),
        (START + "\nstart_command: x", "Did you mean startCommand?"),
        (START + "\nbuildcommand: x", "Did you mean buildCommand?"),
        (START + "\nbuildComand: x", "Did you mean buildCommand?"),
        (START + "\nram: 1gb", "Did you mean memory?"),
        (START + "\nenv: {}", "set in LeapCell's dashboard, and here by --env."),
        ("startCommand: uvicorn main:app --port 9000", "listens on port 9000, but leapcell.yaml says 8080"),
        ("startCommand: gunicorn -b :9000 main:app", "listens on port 9000"),
        ("startCommand: gunicorn --bind=0.0.0.0:9000 main:app", "listens on port 9000"),
        ("startCommand: uvicorn main:app --host 127.0.0.1", "listens on 127.0.0.1"),
    ],
)
def test_what_is_remarked_on(text: str, warning: str) -> None:
    assert warning in "\n".join(parse_manifest(text).warnings)


def test_a_port_from_the_environment_is_right() -> None:
    assert parse_manifest('startCommand: "gunicorn -b :$PORT app:app"').warnings == ()


def test_a_missing_file_is_answered_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="There is no leapcell") as refused:
        read_manifest(tmp_path)
    assert EXAMPLE in (refused.value.hint or "")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "leapcell.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path)


KEYS = ("runtime", "startCommand", "buildCommand", "port", "memory", "region")
VALUES = ("python", "uvicorn main:app", "8080", "'8080'", "0", "1.5", "true", "512mb", "1 GiB", "64", "[a]", "", "- b")


@given(st.text() | st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)).map(": ".join)).map("\n".join))
def test_any_text_is_a_manifest_or_one_clear_message_and_checks_read_the_same(text: str) -> None:
    read = theirs = None
    with contextlib.suppress(ManifestError):
        read = parse_manifest(text)
    with contextlib.suppress(leapcell_manifest.ManifestError):
        theirs = leapcell_manifest.parse_manifest(text)
    assert (read is None) == (theirs is None)
    if read and theirs:
        for name in ("start_command", "build_command", "runtime", "port", "memory", "cpu_share"):
            assert getattr(read, name) == getattr(theirs, name)
