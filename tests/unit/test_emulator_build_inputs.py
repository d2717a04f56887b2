"""Which part of a build command may be used again, and what decides it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leapcell_emulator.build_inputs import digest, digest_of_all, plan

NODE = {"package.json": "{}"}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("command", "files", "inputs"),
    [
        ("pip install -r requirements.txt", {}, {"requirements.txt"}),
        ("pip install --no-cache-dir -r=requirements.txt", {}, None),
        ("pip install --requirement=requirements.txt 'flask[async]>=3' -i https://x.test/", {}, {"requirements.txt"}),
        ("python -m pip install --upgrade pip", {}, set()),
        ("uv pip install -r pyproject.toml", {}, {"pyproject.toml", "uv.toml"}),
        (
            "pip install -r requirements/live.txt",
            {
                "requirements/live.txt": "-r base.txt # the rest\nflask==3 --hash=sha256:00/00",
                "requirements/base.txt": "x",
            },
            {"requirements/live.txt", "requirements/base.txt"},
        ),
        ("pip install -r r.txt", {"r.txt": "-e ."}, None),
        ("pip install -r r.txt", {"r.txt": "./library"}, None),
        ("pip install -r r.txt", {"r.txt": "x @ file:///x"}, None),
        ("pip install -r r.txt", {"r.txt": "-r ../x.txt"}, None),
        ("pip install .", {}, None),
        ("pip install -e library", {}, None),
        ("pip install library", {"library/setup.py": ""}, None),
        ("pip install $NAME", {}, None),
        ("pip download flask", {}, None),
        ("npm ci", NODE, {"package.json", "package-lock.json"}),
        ("npm ci", {"package.json": json.dumps({"scripts": {"postinstall": "node x.js"}})}, None),
        ("npm install", {"package.json": json.dumps({"dependencies": {"x": "file:x"}})}, None),
        ("npm install ./x", NODE, None),
        ("npm ci", {}, None),
        ("apt-get update", {}, set()),
        ("sudo apt-get install -y ffmpeg", {}, set()),
        ("apt-get install ./x.deb", {}, None),
        ("python -m playwright install --with-deps chromium", {}, set()),
        ("go mod download", {}, {"go.mod", "go.sum"}),
        ("go build", {}, None),
        ("python manage.py migrate", {}, None),
    ],
)
def test_the_files_of_a_command(command: str, files: dict[str, str], inputs: set[str] | None, tmp_path: Path) -> None:
    found = plan(command, write(tmp_path, files))
    if inputs is None:
        assert (found.known, found.inputs, found.rest) == ("", (), command)
    else:
        assert (found.known, found.rest) == (command, "")
        assert inputs <= set(found.inputs)


@pytest.mark.parametrize(
    ("command", "known", "rest"),
    [
        ("pip install x && python y.py && pip install z", "pip install x", "python y.py && pip install z"),
        ("pip install x && echo y > z", "pip install x", "echo y > z"),
        ("pip install 'x[y]' && cat a | b", "pip install 'x[y]'", "cat a | b"),
        ("pip install x || true", "", "pip install x || true"),
        ("pip install x && y; z", "", "pip install x && y; z"),
        ("pip install x &", "", "pip install x &"),
        ("pip install x\nfalse", "", "pip install x\nfalse"),
        ("(pip install x)", "", "(pip install x)"),
        ("pip install x && echo '&&'", "pip install x", "echo '&&'"),
        ("pip install 'x && y'", "", "pip install 'x && y'"),
        ("pip install 'x", "", "pip install 'x"),
        ("cd a && npm ci", "", "cd a && npm ci"),
    ],
)
def test_where_a_command_is_divided(command: str, known: str, rest: str, tmp_path: Path) -> None:
    found = plan(command, tmp_path)
    assert (found.known, found.rest) == (known, rest)


@given(st.text(alphabet=" &;|<>()'\"\\$`pinstalx-r.\n"))
def test_any_command_keeps_all_its_parts(command: str) -> None:
    found = plan(command, Path("/nowhere"))
    whole = "&&".join(part for part in (found.known, found.rest) if part)
    assert whole.replace(" ", "") == command.strip().replace(" ", "") or found.rest == command


WORDS = (
    "sudo", "npx", "uv", "pip", "pip3", "python", "python3", "-m", "install", "i", "ci", "add", "npm", "yarn", "pnpm",
    "apt-get", "apt", "update", "-y", "-r", "-c", "-e", "--requirement", "--requirement=", "requirements.txt", ".",
    "pyproject.toml", "playwright", "go", "mod", "download", "build", "run", "exec", "&&", "--index-url", "--prefix",
)  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=6))
def test_any_words_of_known_commands_can_be_read(words: list[str]) -> None:
    command = " ".join(words)
    found = plan(command, Path("/nowhere"))
    assert found.known in command
    assert command.strip().endswith(found.rest.strip())


def test_a_digest_changes_with_what_it_is_of(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    seen = {
        digest(tmp_path, ["a"], "x"),
        digest(tmp_path, ["a"], "y"),
        digest(tmp_path, [], "x"),
        digest(tmp_path, ["b"]),
    }
    (tmp_path / "a").write_text("2")
    seen.add(digest(tmp_path, ["a"], "x"))
    assert len(seen) == 5
    whole = {digest_of_all(tmp_path)}
    (tmp_path / "a").chmod(0o755)
    whole.add(digest_of_all(tmp_path))
    (tmp_path / "b").symlink_to("a")
    whole.add(digest_of_all(tmp_path))
    (tmp_path / "b").unlink()
    (tmp_path / "b").symlink_to("c")
    whole.add(digest_of_all(tmp_path))
    assert len(whole) == 4
