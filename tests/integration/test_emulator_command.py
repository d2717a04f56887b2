"""`leapcell emulate`, as people and CI run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import leapcell_emulator
from leapcell_emulator.rules import RULES
from tests.services import forks
from tests.services.emulator import PROJECTS, copy_of, write_project

ROOT = Path(__file__).parents[2]
NO_SERVICES = ("--no-database", "--no-object-storage")
QUICK = ("--no-build", "--instances", "1", "--port", "0", "--async-port", "0")


def emulate(
    *options: str, folder: Path = PROJECTS / "plain_http", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    words = ["-m", "leapcell_emulator", "emulate", "--folder", folder, *options]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return forks.run(words, env=environment, timeout=timeout, text=True)


def test_every_rule_is_an_option() -> None:
    text = emulate("--help").stdout
    for rule in RULES.values():
        assert rule.option in text
        assert rule.id + ":" in text


@pytest.mark.parametrize("code", [0, 7])
def test_exec_ends_with_the_commands_status(code: int) -> None:
    run = f"curl -s $LEAPCELL_URL/hello && echo '' $LEAPCELL_ASYNC_URL $GREETING && exit {code}"
    done = emulate(*QUICK, *NO_SERVICES, "--env", "GREETING=hello", "--exec", run)
    assert done.returncode == code
    pid, path, url, greeting = done.stdout.split()
    assert pid.isdigit()
    assert (path, greeting) == ("/hello", "hello")
    assert url.startswith("http://127.0.0.1:")
    # What the emulator says is not in the way of what the command says.
    assert "plain_http is at http://127.0.0.1:" in done.stderr


@pytest.mark.parametrize(("rules", "status"), [("E7,e8", 1), ("E1", 0), ("all", 1)])
def test_a_rule_that_fires_fails_the_command(rules: str, status: int) -> None:
    run = 'curl -s $LEAPCELL_URL/ -H "Connection: upgrade" -H "Upgrade: websocket"'
    done = emulate(*QUICK, *NO_SERVICES, "--fail-on", rules, "--exec", run)
    assert done.returncode == status, done.stderr
    assert ("Failed, since E8 fired (--fail-on)." in done.stderr) is (status == 1)


FASTOPP = ("-c", "from fastopp.cli.main import main; main()")


@pytest.mark.parametrize("command", [(Path(sys.executable).with_name("leapcell"),), (sys.executable, *FASTOPP)])
def test_a_project_of_another_framework_needs_no_oppman(command: tuple[str, ...]) -> None:
    words = [*command, "emulate", *QUICK, *NO_SERVICES, "--exec", "curl -s $LEAPCELL_URL/"]
    done = subprocess.run(words, cwd=PROJECTS / "plain_flask", capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "Flask"), done.stderr
    assert "fastopp" not in done.stderr.lower()


def test_a_fastopp_project_without_a_manifest_learns_how_to_write_one(tmp_path: Path) -> None:
    (tmp_path / "oppman.py").touch()
    done = forks.run([*FASTOPP, "emulate", "--folder", tmp_path], text=True, timeout=60)
    assert done.returncode == 1
    message = f"There is no leapcell.yaml in {tmp_path}.\nWrite one with: python oppman.py leapcell init\n"
    assert done.stderr == message


@pytest.mark.parametrize(
    ("inside_the_repository", "hint"),
    [
        (False, 'Install it with: pip install "fastopp[emulator]"'),
        (True, "Run ./script/emulator instead, which installs it and takes the same arguments."),
    ],
)
def test_fastopp_without_the_emulator_says_how_to_install_it(
    inside_the_repository: bool, hint: str, tmp_path: Path
) -> None:
    code = f"import sys; sys.modules['leapcell_emulator'] = None; {FASTOPP[1]}"
    folder = ROOT if inside_the_repository else tmp_path
    done = forks.run(["-c", code, "emulate", "--no-build"], cwd=folder, text=True, timeout=60, own_imports=True)
    assert done.returncode == 1
    assert done.stderr == f"The emulator is not installed.\n{hint}\n"


@pytest.mark.parametrize("given", ["", "of-the-file", "of-the-option"])
def test_a_fastopp_project_gets_a_secret_key_if_it_has_none(given: str, tmp_path: Path) -> None:
    folder = copy_of("plain_http", tmp_path)
    (folder / "oppman.py").touch()
    (folder / ".env.leapcell").write_text("SECRET_KEY=of-the-file\n" if given == "of-the-file" else "SECRET_KEY=\n")
    option = ("--env", f"SECRET_KEY={given}") if given == "of-the-option" else ()
    words = [*FASTOPP, "emulate", "--folder", folder, *QUICK, *NO_SERVICES, *option, "--exec", 'echo "$SECRET_KEY"']
    done = forks.run(words, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == given or (given == "" and len(done.stdout.strip()) == 43)
    assert ("a new one is used for this run" in done.stderr) is (given == "")


def test_the_version() -> None:
    done = forks.run(["-m", "leapcell_emulator", "--version"], text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{leapcell_emulator.__version__}\n")


def test_exec_is_told_to_end_too() -> None:
    words = ["-m", "leapcell_emulator", "emulate", "--folder", PROJECTS / "plain_http", *QUICK]
    words += [*NO_SERVICES, "--exec", "echo begun; exec sleep 100"]
    with forks.Program(words, stdout=forks.PIPE, stderr=forks.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130


def test_what_the_services_hold_is_kept(tmp_path: Path) -> None:
    """And with them goes the way an application is told of them."""
    program = tmp_path / "program.py"
    program.write_text("""\
import os, sys, obstore.store, psycopg, redis

store = obstore.store.S3Store(
    os.environ["S3_BUCKET"], endpoint=os.environ["S3_ENDPOINT_URL"], region=os.environ["S3_REGION"],
    access_key_id=os.environ["S3_ACCESS_KEY"], secret_access_key=os.environ["S3_SECRET_KEY"],
    virtual_hosted_style_request=False, client_options={"allow_http": True},
)
cache = redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
with psycopg.connect(os.environ["DATABASE_URL"], prepare_threshold=None) as connection:
    if sys.argv[1] == "write":
        connection.execute("create table kept (word text)")
        connection.execute("insert into kept values ('row')")
        store.put("photos/a.txt", b"file")
        cache.set("word", "value")
    else:
        row = connection.execute("select word from kept").fetchone()[0]
        print(row, bytes(store.get("photos/a.txt").bytes()), cache.get("word"))
""")
    kept = tmp_path / "kept"
    done = emulate(*QUICK, "--redis", "--save", str(kept), "--exec", f"{sys.executable} {program} write")
    assert done.returncode == 0, done.stderr
    done = emulate(*QUICK, "--redis", "--load", str(kept), "--exec", f"{sys.executable} {program} read")
    assert done.stdout == "row b'file' value\n", done.stderr


@pytest.mark.parametrize("sandbox", ["bubblewrap", "landlock"])
def test_an_application_uses_redis(tmp_path: Path, sandbox: str) -> None:
    """It trusts the certificate with no setting of its own, and both instances see the same data."""
    server = """\
import os, redis
from wsgiref.simple_server import make_server

cache = redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] != "/eval":
        return [f"{cache.incr(environ['PATH_INFO'])}\\n".encode()]
    try:
        cache.eval("return 1", 0)
    except redis.ResponseError as error:
        return [f"{error}\\n".encode()]

make_server("", 8080, application).serve_forever()
"""
    project = write_project(tmp_path / "project", "python server.py", server=server)
    asked = "for path in visits visits visits eval __emulator/state; do curl -sSf $LEAPCELL_URL/$path || exit 1; done"
    options = ("--no-build", "--port", "0", "--async-port", "0", "--sandbox", sandbox, "--redis", *NO_SERVICES)
    done = emulate(*options, "--exec", asked, folder=project)
    assert done.returncode == 0, done.stderr
    *answers, state = done.stdout.splitlines()
    assert answers[:3] == ["1", "2", "3"]
    assert answers[3].startswith("unknown command 'EVAL'")
    assert "E17 EVAL was refused: LeapCell does not list it for its Redis." in done.stderr
    assert "documented: https://docs.leapcell.io/redis; --redis-commands changes it" in done.stderr
    shown = json.loads(state)
    assert shown["services"]["redis"]["notices"] == ["EVAL was refused: LeapCell does not list it for its Redis."]
    assert [rule["fired"] for rule in shown["rules"] if rule["id"] == "E17"] == [1]
    assert "rediss://" not in state
    assert "rediss://" not in done.stderr


def test_a_folder_with_nothing_in_it_is_remarked_on(tmp_path: Path) -> None:
    done = emulate(*QUICK, *NO_SERVICES, "--load", str(tmp_path), "--exec", "true")
    assert done.returncode == 0
    assert f"Nothing is saved in {tmp_path}: all starts empty." in done.stderr


def test_redis_is_only_for_those_who_ask() -> None:
    done = emulate(*QUICK, *NO_SERVICES, "--exec", "echo redis: $REDIS_URL")
    assert done.stdout == "redis:\n"


def test_the_users_own_database_is_left_alone(tmp_path: Path) -> None:
    project = copy_of("plain_http", tmp_path)
    (project / ".env.leapcell").write_text(
        "DATABASE_URL=postgresql://real.leapcellpool.com/real\nDB_HOST=${DATABASE_HOST}\nOTHER=1\n"
    )
    options = ("--no-object-storage", "--env", "DATABASE_DSN=${DATABASE_URL:postgresql+psycopg}")
    done = emulate(*QUICK, *options, "--exec", "echo $DATABASE_URL $DATABASE_DSN $DB_HOST $OTHER", folder=project)
    assert "real" not in done.stdout
    url, dsn, host, other = done.stdout.split()
    assert (url.partition(":")[0], dsn.partition(":")[0]) == ("postgresql", "postgresql+psycopg")
    assert dsn.partition(":")[2] == url.partition(":")[2]
    assert (host, other) == ("localhost", "1")
    assert done.stderr.count("DATABASE_URL of yours is not used") == 1
    assert "leapcellpool" not in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--folder", "/nowhere"], 1, "There is no folder /nowhere."),
        (["--profile", "loose"], 1, "There is no profile loose."),
        (["--instances", "0"], 1, "--instances is 0."),
        (["--pooler", "statement"], 1, "--pooler is statement."),
        (["--max-header", "much"], 2, "much is no size"),
        (["--env", "GREETING"], 2, "--env GREETING is not NAME=VALUE."),
        (["--env-file", "/nowhere"], 1, "The file /nowhere cannot be read"),
        (["--load", "/nowhere"], 1, "There is no folder /nowhere."),
        (["--save", "/proc/nowhere"], 1, "Nothing can be saved in /proc/nowhere: No such file or directory."),
        (["--cron", "/nowhere"], 1, "The cron file /nowhere cannot be read"),
        (["--sandbox", "none"], 1, "There is no sandbox none."),
        (["--env", "CACHE=${REDIS_URL}"], 1, "It is Redis's, which does not run: use --redis."),
        (["--root-directory", "../.."], 1, "--root-directory ../.. is not in "),
        (["--python", "3.12"], 1, "--python has no effect without a build."),
        (["--memory", "64mb"], 1, "LeapCell offers 128 to 7076 MB."),
        (["--save-manifest"], 1, "exists already"),
        (["--persistent", "--profile", "strict"], 2, "--persistent and --profile strict exclude each other."),
        (["--fail-on", "E1"], 2, "--fail-on has no effect without --exec."),
        (["--fail-on", "E1,E99", "--exec", "true"], 2, "there is no rule E99."),
    ],
)
def test_a_mistake_gets_one_message(options: list[str], status: int, message: str) -> None:
    done = emulate(*QUICK, *NO_SERVICES, *options)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_start_that_fails_ends_the_emulator(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "echo no luck; exit 9")
    done = emulate(*QUICK, *NO_SERVICES, folder=project)
    assert done.returncode == 1
    assert "The start command ended with code 9 before it answered /kaithhealth." in done.stderr
    assert "Traceback" not in done.stderr
