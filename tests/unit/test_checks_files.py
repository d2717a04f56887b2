"""Checks of a project's files: leapcell.yaml, requirements.txt, the source."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fastopp.checks.errors import CannotCheck
from fastopp.checks.lockfile import LockUnreadable, read_lock
from fastopp.checks.requirement_lines import Pins, Requirement, by_name, install_line, read_requirements
from fastopp.checks.source import SourceUnreadable
from fastopp.features.leapcell.checks.manifest import listens
from tests.services.checks_project import LOCK, REQUIREMENTS, context, local, make_project, run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("port: 8080", "port: many", "port"),
        ("memory: 512mb", "memory: 64mb", "64 MB"),
        ("memory: 512mb", "memory: 9000mb", "9000 MB"),
        ("memory: 512mb", "memory: lots", "memory"),
        ("startCommand: ", "begin: ", "startCommand"),
        ("runtime: python", "runtime: [", "not YAML"),
    ],
)
def test_unusable_manifest(project: Path, old: str, new: str, said: str) -> None:
    rewrite(project / "leapcell.yaml", old, new)
    (finding,) = run("E301", context(project))
    assert said in finding.message
    with pytest.raises(CannotCheck):
        run("E303", context(project))


def test_missing_manifest(project: Path) -> None:
    (project / "leapcell.yaml").unlink()
    (finding,) = run("E301", context(project))
    assert "leapcell init" in finding.hint


def test_unknown_keys(project: Path) -> None:
    assert run("W302", context(project)) == []
    with (project / "leapcell.yaml").open("a") as file:
        file.write("colour: blue\n")
    (finding,) = run("W302", context(project))
    assert "colour" in finding.message


def test_other_port(project: Path) -> None:
    assert run("E303", context(project)) == []
    rewrite(project / "leapcell.yaml", "port: 8080", "port: 8000")
    (finding,) = run("E303", context(project))
    assert "8080" in finding.message
    assert "8000" in finding.message


def test_loopback(project: Path) -> None:
    assert run("W304", context(project)) == []
    rewrite(project / "leapcell.yaml", " --host 0.0.0.0", "")
    assert run("W304", context(project))


@pytest.mark.parametrize(
    ("command", "host", "port"),
    [
        ("uvicorn main:app", "127.0.0.1", 8000),
        ("python -m uvicorn main:app --host 0.0.0.0 --port 8080", "0.0.0.0", 8080),
        ("uvicorn main:app --host=0.0.0.0 --port=$PORT", "0.0.0.0", None),
        ("gunicorn -b :$PORT app:app", "0.0.0.0", None),
        ("gunicorn -w 1 --bind 127.0.0.1:8080 app:app", "127.0.0.1", 8080),
        ("gunicorn app:app", "127.0.0.1", 8000),
        ("python app.py", None, None),
        ("node server.js -p 3000", None, 3000),
        ("echo 'unfinished", None, None),
    ],
)
def test_where_a_command_listens(command: str, host: str | None, port: int | None) -> None:
    found = listens(command)
    assert (found.host, found.port) == (host, port)


def test_byte_code(project: Path) -> None:
    assert run("W305", context(project)) == []
    rewrite(project / "leapcell.yaml", " && python oppman.py leapcell build --no-install", "")
    assert run("W305", context(project))
    rewrite(project / "leapcell.yaml", "runtime: python", "runtime: go")
    assert run("W305", context(project)) == []


def test_requirements_missing(project: Path) -> None:
    assert run("E321", context(project)) == []
    (project / "requirements.txt").unlink()
    assert run("E321", context(project))


def test_requirements_out_of_step(project: Path) -> None:
    assert run("E322", context(project)) == []
    rewrite(project / "requirements.txt", "tomato==1.0", "tomato==0.9")
    rewrite(project / "requirements.txt", "chili==3.0 ", "extra==1 ")
    lacking, other = run("E322", context(project))
    assert lacking.message == "requirements.txt lacks chili."
    assert "tomato (0.9 instead of 1.0)" in other.message
    rewrite(project / "requirements.txt", "tomato==0.9", "tomato>=0.9")
    assert "tomato (any version instead of 1.0)" in run("E322", context(project))[1].message


def test_hashes_out_of_step(project: Path) -> None:
    rewrite(project / "requirements.txt", "sha256:70a0", "sha256:bad0")
    (finding,) = run("E322", context(project))
    assert finding.message == "requirements.txt has other hashes than uv.lock for tomato."
    assert "Delete requirements.txt" in finding.hint
    assert "leapcell init" in finding.hint
    rewrite(project / "requirements.txt", " \\\n    --hash=sha256:bad0 \\\n    --hash=sha256:70b0", "")
    (finding,) = run("E322", context(project))
    assert finding.message == "requirements.txt has no hash for tomato."
    (project / "requirements.txt").write_text(f"{REQUIREMENTS}extra==1\n")
    (finding,) = run("E322", context(project))
    assert finding.message == "requirements.txt has no hash for extra."


def test_a_file_written_before_there_were_hashes(project: Path) -> None:
    rewrite(project / "uv.lock", '{ virtual = "." }', '{ editable = "." }')
    lines = [line.removesuffix(" \\") for line in REQUIREMENTS.splitlines() if "--hash" not in line]
    (project / "requirements.txt").write_text("\n".join([*lines, ".\n"]))
    messages = [finding.message for finding in run("E322", context(project))]
    assert messages == [
        "requirements.txt has no hash for the project itself, chili, older, pepper, tomato.",
        "requirements-unhashed.txt lacks the project itself.",
    ]


def test_the_second_file_out_of_step(project: Path) -> None:
    url = "git+https://user:pass@git.example/t"
    rewrite(project / "uv.lock", 'source = { virtual = "." }', 'source = { editable = "." }')
    rewrite(
        project / "uv.lock",
        'name = "chili"\nversion = "3.0"\nsource = { registry = "https://pypi.org/simple" }\nwheels',
        'name = "chili"\nversion = "3.0"\nsource = { git = "https://git.example/t?rev=v1#0123abc" }\nold',
    )
    rewrite(project / "requirements.txt", "chili==3.0 \\\n    --hash=sha256:c411\n", "")
    second = project / "requirements-unhashed.txt"
    second.write_text("chili @ git+https://git.example/t@0123abc\n.\n")
    assert run("E322", context(project)) == []
    second.write_text(f"chili @ {url}@eeee\ntomato==1.0\n")
    lacking, other, added = (finding.message for finding in run("E322", context(project)))
    assert lacking == "requirements-unhashed.txt lacks the project itself."
    assert other.endswith("chili (another address).")
    assert added == "requirements-unhashed.txt installs tomato without a hash, which uv.lock does not ask for."


def test_the_build_installs_the_second_file(project: Path) -> None:
    """A leapcell.yaml that was written before there was a second file stays, and is reported."""
    assert run("E324", context(project)) == []
    second = project / "requirements-unhashed.txt"
    second.write_text(".\n")
    (finding,) = run("E324", context(project))
    assert finding.message == "The build command installs requirements.txt and not requirements-unhashed.txt."
    assert install_line(both=True) in finding.hint
    manifest = (project / "leapcell.yaml").read_text()
    for command in (
        install_line(both=True),
        "pip install -r requirements.txt && pip install --no-deps .",
        "pip install fastopp",
        "pip install -q -r requirements.txt && python oppman.py leapcell build #",
    ):
        (project / "leapcell.yaml").write_text(manifest.replace(install_line(both=False), command))
        if "leapcell build #" in command:
            rewrite(project / "leapcell.yaml", " # && python oppman.py leapcell build --no-install", "")
        assert run("E324", context(project)) == [], command
    (project / "leapcell.yaml").write_text(manifest.replace(install_line(both=False), install_line(both=True)))
    second.unlink()
    (finding,) = run("E324", context(project))
    assert "which does not exist" in finding.message
    assert install_line(both=False) in finding.hint


def test_requirements_without_a_lock(project: Path) -> None:
    (project / "uv.lock").unlink()
    (project / "pyproject.toml").write_text('[project]\nname = "s"\ndependencies = ["tomato>=1", "fastopp[x]>=0.5"]\n')
    (finding,) = run("E322", context(project))
    assert "fastopp" in finding.message
    with (project / "requirements.txt").open("a") as file:
        file.write("FastOpp[x]\n")
    assert run("E322", context(project)) == []
    (project / "pyproject.toml").unlink()
    with pytest.raises(CannotCheck):
        run("E322", context(project))


def test_wheels(project: Path) -> None:
    assert run("W323", context(project)) == []
    rewrite(
        project / "uv.lock",
        "pepper-2.0-cp311-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64",
        "pepper-2.0-cp311-abi3-win_arm64",
    )
    (finding,) = run("W323", context(project))
    assert finding.message == "pepper 2.0 has no wheel for arm64."
    rewrite(project / "uv.lock", "tomato-1.0-py3-none-any", "tomato-1.0-cp39-cp39-manylinux_2_17_x86_64")
    both = {each.message for each in run("W323", context(project))}
    assert "tomato 1.0 has no wheel for x86-64 and arm64." in both


def test_the_python_of_the_project_needs_wheels_and_not_the_running_one(project: Path) -> None:
    rewrite(project / "uv.lock", "tomato-1.0-py3-none-any", "tomato-1.0-cp312-cp312-musllinux_1_2_x86_64")
    rewrite(project / "uv.lock", "chili-3.0-py3-none-any", "chili-3.0-cp311-cp311-linux_x86_64")
    both, some = sorted(each.message for each in run("W323", context(project)))[::-1]
    assert both == "tomato 1.0 has no wheel for x86-64 and arm64."
    assert some == "chili 3.0 has no wheel for x86-64 and arm64."
    (project / ".python-version").write_text("3.11\n")
    messages = {each.message for each in run("W323", context(project))}
    assert "chili 3.0 has no wheel for arm64." in messages
    (project / ".python-version").unlink()
    rewrite(project / "uv.lock", "chili-3.0-cp311-cp311-linux_x86_64", "chili-3.0-cp311-cp311-any")
    messages = {each.message for each in run("W323", context(project))}
    assert "chili 3.0 has no wheel for x86-64 and arm64, on Python 3.12." in messages


def test_files_that_are_not_in_git(project: Path) -> None:
    subprocess.run(["git", "init", "-q", project], check=True)
    assert run("E325", context(project)) == []
    (project / "wheels").mkdir()
    (project / "wheels/a-1-py3-none-any.whl").write_bytes(b"")
    lines = [
        "--find-links ./wheels",
        "./wheels/a-1-py3-none-any.whl[x]",
        "./b.whl",
        "./../c",
        "d @ file:///d.whl",
        "-e ..",
    ]
    (project / "requirements-unhashed.txt").write_text("\n".join([*lines, "."]))
    messages = [each.message.removeprefix("requirements-unhashed.txt names ") for each in run("E325", context(project))]
    outside = [f"{path}, which is outside of the project." for path in ("./../c", "file:///d.whl")]
    assert messages == ["./b.whl, which does not exist.", *outside]
    (project / "wheels/.gitignore").write_text("*")  # as `uv build` writes it
    messages = [each.message for each in run("E325", context(project))]
    assert [message for message in messages if "git ignores" in message] == [
        "requirements-unhashed.txt names ./wheels, which git ignores.",
        "requirements-unhashed.txt names ./wheels/a-1-py3-none-any.whl, which git ignores.",
    ]


NO_SOLUTION = """\
  ╰─▶ Because fastopp was not found at https://me:secret@index.example/simple and you require fastopp>=0.5.0, we can
      conclude that your requirements are unsatisfiable.
"""


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (
            NO_SOLUTION,
            "Because fastopp was not found at https://***@index.example/simple and you require fastopp>=0.5.0",
        ),
        ("WARNING: a\nERROR: Could not find a version of fastopp\n", "Could not find a version of fastopp"),
        ("error: Failed to fetch: `https://pypi.org/simple/x/`\n  Caused by: dns error\n", None),
        ("  hint: Packages were unavailable because the network was disabled.\n", None),
        ("WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: Could not find a version\n", None),
    ],
)
def test_a_dry_run_that_fails(project: Path, monkeypatch: pytest.MonkeyPatch, errors: str, said: str | None) -> None:
    """Where no index answers, nothing is known of the requirements. `test_requirements_pip.py` asks pip itself."""
    monkeypatch.setenv("PATH", f"{project / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    (project / "bin").mkdir()
    (project / "errors").write_text(errors)
    (project / "bin/uv").write_text('#!/bin/sh\ncat errors >&2; echo "$@" > words; exit 1\n')
    (project / "bin/uv").chmod(0o755)
    if said:
        (finding,) = run("E326", context(project))
        assert said in finding.message
    else:
        with pytest.raises(CannotCheck, match="No package index answers"):
            run("E326", context(project))
    words = (project / "words").read_text()
    assert words.startswith("pip install --no-progress")
    assert "--dry-run" in words
    assert words.endswith("-r requirements.txt\n")


def test_lock_lines(project: Path) -> None:
    lines = list(read_lock(project / "uv.lock").requirements())
    assert "".join(f"{line}\n" for line in lines) == REQUIREMENTS
    assert list(read_requirements(REQUIREMENTS)) == lines


@pytest.mark.parametrize(
    "text", ["", "nonsense [", "version = 1\n", LOCK.replace('name = "tomato"\nversion', 'name = "x"\nversion')]
)
def test_a_broken_lock(tmp_path: Path, text: str) -> None:
    (tmp_path / "uv.lock").write_text(text)
    with pytest.raises(LockUnreadable):
        list(read_lock(tmp_path / "uv.lock").requirements())


def test_sources_of_packages(tmp_path: Path) -> None:
    text = LOCK.replace('source = { virtual = "." }', 'source = { editable = "." }')
    text = text.replace(
        'version = "1.0"\nsource = { registry = "https://pypi.org/simple" }',
        'version = "1.0"\nsource = { git = "https://git.example/t?rev=v1#0123abc" }',
    )
    (tmp_path / "uv.lock").write_text(text)
    lines = list(read_lock(tmp_path / "uv.lock").requirements())
    assert "tomato @ git+https://git.example/t@0123abc" in [line.target for line in lines]
    assert lines[-1] == Requirement(".")


@pytest.mark.parametrize(
    ("source", "files", "line"),
    [
        (
            'url = "https://x.example/t.whl"',
            'wheels = [{ url = "https://x.example/t.whl", hash = "sha256:70" }]',
            Requirement("tomato @ https://x.example/t.whl", hashes=frozenset({"sha256:70"})),
        ),
        (
            'path = "wheels/t.tar.gz"',
            'sdist = { hash = "sha256:70" }',
            Requirement("./wheels/t.tar.gz", hashes=frozenset({"sha256:70"})),
        ),
        ('directory = "t"', "", Requirement("./t")),
        ('editable = "../t"', "", Requirement("./../t")),
        ('git = "https://g.example/t#0123"', "", Requirement("tomato @ git+https://g.example/t@0123")),
        (
            'registry = "https://old.example/simple"',
            'wheels = [{ url = "https://old.example/t.whl", hash = "md5:70" }]',
            Requirement("tomato==1.0"),
        ),
        ('registry = "wheels"', 'wheels = [{ path = "t.whl" }]', Requirement("tomato==1.0")),
        ('virtual = "t"', "", None),
    ],
)
def test_what_has_a_hash(tmp_path: Path, source: str, files: str, line: Requirement | None) -> None:
    text = f"""
[[package]]
name = "shop"
source = {{ virtual = "." }}
dependencies = [{{ name = "tomato" }}]

[[package]]
name = "tomato"
version = "1.0"
source = {{ {source} }}
{files}
"""
    (tmp_path / "uv.lock").write_text(text)
    assert list(read_lock(tmp_path / "uv.lock").requirements()) == ([line] if line else [])


def test_this_projects_lock_as_uv_reads_it(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is no part of the tests' environment")
    options = ["--frozen", "--no-default-groups", "--no-emit-project", "--no-annotate", "--no-header"]
    done = subprocess.run(
        [uv, "export", "--offline", "-q", *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = read_requirements(done.stdout)
    theirs = by_name(line for line in lines if "win32" not in line.marker or "!=" in line.marker)
    ours = by_name(line for line in read_lock(ROOT / "uv.lock").requirements() if line.target != ".")
    assert ours == {name: pins for name, pins in theirs.items() if name != "tzdata"}


def test_requirements_as_pip_reads_them() -> None:
    text = """\
Foo_Bar[x]==1.0 ; python_version < '3'
# no==1
-r other.txt
--index-url https://x
b>=2  # why==1
c @ https://x/c.whl#subdirectory=y ; os_name == "posix"
.
https://user:pass@x/d.whl
d==1 \\
  --hash=sha256:0 --hash=sha256:1
./e.whl --hash sha256:2
"""
    lines = list(read_requirements(text))
    assert by_name(lines) == {
        "foo-bar": Pins(frozenset({"1.0"})),
        "b": Pins(),
        "c": Pins(frozenset({"https://x/c.whl#subdirectory=y"})),
        ".": Pins(),
        "an address without a name": Pins(),
        "d": Pins(frozenset({"1"}), frozenset({"sha256:0", "sha256:1"})),
        "./e.whl": Pins(hashes=frozenset({"sha256:2"})),
    }
    assert [line.marker for line in lines if line.marker] == ["python_version < '3'", 'os_name == "posix"']


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("import multiprocessing\nq = multiprocessing.Queue()\n", 1),
        ("from multiprocessing import Pool\n", 1),
        ("from multiprocessing.shared_memory import SharedMemory\n", 1),
        ("from concurrent.futures import ProcessPoolExecutor\n", 1),
        ("from joblib import Parallel, delayed\n", 1),
        ("import multiprocessing\nn = multiprocessing.cpu_count()\n", 0),
        ("from multiprocessing import cpu_count\n", 0),
        ("from concurrent.futures import ThreadPoolExecutor\n", 0),
        ("class multiprocessing: Queue = 1\nmultiprocessing.Queue\n", 0),
    ],
)
def test_shared_memory(tmp_path: Path, code: str, count: int) -> None:
    found = run("W341", context(make_project(tmp_path / "p", shop=code)))
    assert len(found) == count
    if found:
        assert found[0].message.startswith("shop/routes.py:")


def test_what_a_platform_has_may_be_used(tmp_path: Path) -> None:
    code = 'import multiprocessing, playwright\nmultiprocessing.Queue()\nopen("log.txt", "w")\n'
    project = make_project(tmp_path / "p", shop=code)
    assert [number for number in ("W341", "W342", "W343") if run(number, context(project))] == ["W341", "W342", "W343"]
    assert [number for number in ("W341", "W342", "W343") if run(number, local(project))] == []


def test_browser(tmp_path: Path) -> None:
    code = "from playwright.async_api import async_playwright\nimport playwright\n"
    assert len(run("W342", context(make_project(tmp_path / "a", shop=code)))) == 1
    code += 'ARGS = ["--disable-dev-shm-usage"]\n'
    assert run("W342", context(make_project(tmp_path / "b", shop=code))) == []
    assert run("W342", context(make_project(tmp_path / "c"))) == []


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ('open("log.txt", "w")', 1),
        ('open("log.txt", mode="ab")', 1),
        ('open("data/x", "r+")', 1),
        ('from pathlib import Path\nPath("out").write_text("x")', 1),
        ('from pathlib import Path\nPath("out").open("w")', 1),
        ('from pathlib import Path\nPath("cache").mkdir()', 1),
        ('open("/tmp/log.txt", "w")', 0),
        ('open("/dev/null", "w")', 0),
        ('open("log.txt")', 0),
        ('open("log.txt", "rb")', 0),
        ("open(name, 'w')", 0),
        ('open("log.txt", mode)', 0),
        ('from pathlib import Path\nPath("a", "b").mkdir()', 0),
        ('from pathlib import Path\nPath("in").read_text()', 0),
    ],
)
def test_writing(tmp_path: Path, code: str, count: int) -> None:
    folder = make_project(tmp_path / "p", shop=f"{code}\n")
    assert len(run("W343", context(folder))) == count
    assert run("W343", context(folder, FASTOPP_PLATFORM="leapcell-persistent")) == []


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"shop/routes\.py is not Python in line 1"):
        run("W341", context(make_project(tmp_path / "p", shop="def (")))


def test_tests_are_not_served(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "p")
    (folder / "shop/tests").mkdir()
    (folder / "shop/tests/test_a.py").write_text("import multiprocessing\nmultiprocessing.Queue()\n")
    assert run("W341", context(folder)) == []


def test_this_project_needs_nothing_that_leapcell_denies() -> None:
    from fastopp.checks.context import CheckContext
    from fastopp.console.main_file import list_apps
    from fastopp.core.apps import find_apps
    from fastopp.platforms.leapcell import LEAPCELL

    looked_at = CheckContext(ROOT, platform=LEAPCELL, load_apps=lambda: find_apps(list_apps(ROOT / "main.py")))
    for number in ("E301", "W302", "E303", "W304", "W305", "E321", "E322", "E324", "E325", "W341", "W342", "W343"):
        assert run(number, looked_at) == [], number
    assert run("W323", looked_at) == [], "on any Python that it allows"
