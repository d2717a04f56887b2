"""`script/test`: which arguments pytest gets, which tests are repeated, and the end of the busy loops."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds

# The environment's Python: records pytest's arguments; where there is a pipe `wait`, it reads its exit code from that.
PYTHON = """\
#!/bin/sh
[ "$2" = pytest ] || exit 0
shift 2
for argument; do echo "[$argument]"; done > arguments
[ -p wait ] || exit 0
echo ready
read -r code < wait
exit "$code"
"""

# uv: records its arguments, and makes an environment where it is asked for one.
UV = """\
#!/bin/sh
echo "$*" >> uv-arguments
[ "$1" = sync ] || exit 0
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
cp .venv-kept/bin/python "$UV_PROJECT_ENVIRONMENT/bin"
"""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the script, two modules and their tests, all committed on main."""
    folder = tmp_path / "clone"
    for name in ("test", "environment"):
        (folder / "script").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "script" / name, folder / "script")
    for name in ("src/fastopp/storage/images.py", "src/fastopp/storage/keys.py", "src/fastopp/storage/__init__.py"):
        write(folder / name)
    for name in (
        "unit/test_storage_images.py",
        "integration/test_storage_images_large.py",
        "unit/test_storage_keys.py",
    ):
        write(folder / "tests" / name)
    programs = {".venv/bin/python": PYTHON, "bin/uv": "#!/bin/sh\n"}
    for name, text in programs.items():
        write(folder / name, text)
        (folder / name).chmod(0o755)
    (folder / ".gitignore").write_text("/.venv/\n/bin/\n/arguments\n/wait\n")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    for name in ("UV_PROJECT_ENVIRONMENT", "FASTOPP_WHEELS"):
        monkeypatch.delenv(name, raising=False)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    git(folder, "switch", "--quiet", "--create", "work")
    return folder


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Change")


def run(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([clone / "script/test", *arguments], capture_output=True, text=True, check=False)


def pytest_arguments(clone: Path, *arguments: str) -> Sequence[str]:
    """What pytest gets, without what each run has."""
    answer = run(clone, *arguments)
    assert answer.returncode == 0, answer.stderr
    given = [line[1:-1] for line in (clone / "arguments").read_text().splitlines()]
    return [word for word in given if word not in ("-n", str(2 * (os.cpu_count() or 1)))]


def test_arguments_that_are_not_ours_go_to_pytest_as_they_are(clone: Path) -> None:
    plain = pytest_arguments(clone)
    assert pytest_arguments(clone, "tests/unit", "-k", "a and b", "-x") == [*plain, "tests/unit", "-k", "a and b", "-x"]


def test_all_clears_the_markers_and_another_choice_wins(clone: Path) -> None:
    plain = pytest_arguments(clone)
    assert pytest_arguments(clone, "tests/unit", "--all") == [*plain, "-m", "", "tests/unit"]
    assert pytest_arguments(clone, "--all", "-m", "full") == [*plain, "-m", "", "-m", "full"]


def test_coverage_prints_a_table_and_writes_a_report(clone: Path) -> None:
    plain = pytest_arguments(clone)
    reports = ["--cov-report=term:skip-covered", "--cov-report=html", "--cov-report=xml"]
    assert pytest_arguments(clone, "--coverage", "tests/unit") == ["--cov", *reports, *plain, "tests/unit"]


def test_wheels_are_tested_in_an_environment_without_the_source(clone: Path) -> None:
    (clone / "bin/uv").write_text(UV)
    for name in ("it", "other"):
        write(clone / f"dist/{name}.whl")
    (clone / ".venv").rename(clone / ".venv-kept")
    answer = run(clone, "--wheels", str(clone / "dist"), "tests/unit")
    assert answer.returncode == 0, answer.stderr
    sync, install = (clone / "uv-arguments").read_text().splitlines()
    assert "--no-install-workspace" in sync.split()
    assert install.split()[-3:] == ["--no-deps", str(clone / "dist/it.whl"), str(clone / "dist/other.whl")]
    assert "[tests/unit]" in (clone / "arguments").read_text()
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("words", [("--wheels",), ("--wheels=",), ("--wheels", "dist/missing")])
def test_wheels_that_are_missing_are_an_error(clone: Path, words: Sequence[str]) -> None:
    answer = run(clone, *words)
    assert answer.returncode == 2
    assert answer.stderr == "--wheels needs a folder with wheels, as in: script/test --wheels dist\n"


def test_help_is_a_line_for_each_option_and_makes_no_environment(clone: Path) -> None:
    (clone / "bin/uv").write_text("#!/bin/sh\nexit 9\n")
    answer = run(clone, "--help")
    assert answer.returncode == 0
    usage, *options = answer.stdout.splitlines()
    assert [line.split()[0] for line in options] == re.findall(r"\[(--\w+)", usage)
    assert not (clone / "arguments").exists()


@pytest.mark.parametrize("number", ["0", "many", "-1", ""])
def test_a_number_of_runs_is_needed(clone: Path, number: str) -> None:
    answer = run(clone, "--repeat", number)
    assert answer.returncode == 2
    assert answer.stderr == "--repeat needs a number of runs, as in: script/test --repeat 10\n"


def test_repeat_takes_what_changed_since_main(clone: Path) -> None:
    write(clone / "src/fastopp/storage/keys.py", "committed = True\n")
    commit(clone)
    write(clone / "src/fastopp/storage/images.py", "uncommitted = True\n")
    write(clone / "tests/unit/test_new.py")
    write(clone / "docs/test_no_test.md")
    arguments = pytest_arguments(clone, "--repeat", "5", "-x")
    assert arguments[:2] == ["--count", "5"]
    assert arguments[-5:] == [
        "-x",
        "tests/integration/test_storage_images_large.py",
        "tests/unit/test_new.py",
        "tests/unit/test_storage_images.py",
        "tests/unit/test_storage_keys.py",
    ]


def test_repeat_finds_the_tests_of_the_emulator(clone: Path) -> None:
    for name in ("emulator_rule_table", "emulator_services_cron"):
        write(clone / f"tests/unit/test_{name}.py")
    commit(clone)
    git(clone, "branch", "--force", "main")
    write(clone / "packages/leapcell-emulator/src/leapcell_emulator/services/cron.py")
    assert pytest_arguments(clone, "--repeat", "2")[-1] == "tests/unit/test_emulator_services_cron.py"


def test_repeat_takes_a_deleted_file_for_nothing(clone: Path) -> None:
    (clone / "tests/unit/test_storage_keys.py").unlink()
    write(clone / "tests/unit/test_storage_images.py", "changed = True\n")
    assert pytest_arguments(clone, "--repeat=2")[-1] == "tests/unit/test_storage_images.py"


def test_a_change_on_main_is_none_of_ours(clone: Path) -> None:
    git(clone, "switch", "--quiet", "main")
    write(clone / "tests/unit/test_storage_keys.py", "changed = True\n")
    commit(clone)
    git(clone, "switch", "--quiet", "work")
    answer = run(clone, "--repeat", "2")
    assert answer.returncode == 2
    assert "Nothing to repeat" in answer.stderr


def test_repeat_takes_what_is_named_instead(clone: Path) -> None:
    write(clone / "tests/unit/test_new.py")
    test = "tests/unit/test_storage_keys.py::test_one"
    assert pytest_arguments(clone, "--repeat", "3", test)[-1] == test


@pytest.fixture
def stressed(clone: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A run beside its busy loops; whatever the test leaves is killed."""
    os.mkfifo(clone / "wait")
    with subprocess.Popen([clone / "script/test", "--stress"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        loops = psutil.Process(process.pid).children(recursive=True)
        yield process, loops
        process.kill()
    for loop in loops:
        if loop.is_running():
            loop.kill()


def test_a_busy_loop_per_processor_runs_beside_pytest(
    stressed: tuple[subprocess.Popen[str], list[psutil.Process]],
) -> None:
    _, loops = stressed
    assert len(loops) == os.cpu_count()
    for loop in loops:
        assert loop.status() == psutil.STATUS_RUNNING


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, 0, 1])
def test_the_busy_loops_end_with_the_run(
    stressed: tuple[subprocess.Popen[str], list[psutil.Process]], how: int, clone: Path
) -> None:
    process, loops = stressed
    if isinstance(how, signal.Signals):
        process.send_signal(how)
        assert process.wait(PATIENCE) == -how
    else:
        (clone / "wait").write_text(f"{how}\n")
        assert process.wait(PATIENCE) == how
    _, alive = psutil.wait_procs(loops, PATIENCE)
    assert not [loop for loop in alive if loop.status() != psutil.STATUS_ZOMBIE]
