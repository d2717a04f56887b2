"""`oppman.py remote` against this project's own server, and against servers that are not what they should be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from fastopp.cli.remote_release import wait_for
from fastopp.console.remote_site import (
    PATIENCE,
    AddressRefused,
    NoAnswer,
    NotFastOpp,
    NoTLS,
    OperationFailed,
    RemoteSite,
    WrongToken,
    site_url,
)
from tests.services import s3
from tests.services.front import Certificates
from tests.services.s3 import RcloneServer
from tests.services.site import SECRET_KEY, Site, copy_project, run_command, start_command, succeed

TOKEN = "t0ken-of-these-tests-0123456789-abcdefghijklmnop"


@pytest.fixture(scope="module")
def remote_site(tmp_path_factory: pytest.TempPathFactory, rclone: RcloneServer) -> Iterator[Site]:
    """A project as it is deployed, with an Object Storage and an empty database."""
    folder = tmp_path_factory.mktemp("remote")
    environ = {
        "ENVIRONMENT": "production",
        "SECRET_KEY": SECRET_KEY,
        "OPS_TOKEN": TOKEN,
        "DATABASE_URL": f"sqlite:///{folder}/app.db",
        "UPLOAD_DIR": str(folder / "uploads"),
        "SUPERUSER_EMAIL": "owner@example.com",
        "RELEASE": "r7",
        **object_storage(rclone),
    }
    with Site(copy_project(folder / "project"), environ) as running:
        yield running


def object_storage(rclone: RcloneServer) -> dict[str, str]:
    return {
        "S3_ENDPOINT_URL": rclone.endpoint,
        "S3_BUCKET": rclone.create_bucket(),
        "S3_ACCESS_KEY": s3.ACCESS_KEY,
        "S3_SECRET_KEY": s3.SECRET_KEY,
    }


def words(site: Site, *rest: str) -> list[str]:
    return ["oppman.py", "remote", "--url", site.url, *rest]


def test_a_project_is_set_up_and_kept(remote_site: Site, tmp_path: Path) -> None:
    """In the order in which somebody would do it."""
    project, token = remote_site.project, {"OPS_TOKEN": TOKEN}
    empty = run_command(project, *words(remote_site, "status"))
    assert (empty.returncode, "migrations" in empty.stdout) == (1, True)
    assert "migration" in succeed(project, *words(remote_site, "migrate"), environ=token)
    made = succeed(project, *words(remote_site, "init"), environ=token)
    assert "Superuser owner@example.com, password " in made
    again = succeed(project, *words(remote_site, "init", "--json"), environ=token)
    assert "superuser_password" not in json.loads(again)["details"]
    assert "The operations token is accepted" in succeed(project, *words(remote_site, "status"), environ=token)
    backed = json.loads(succeed(project, *words(remote_site, "backup", "--json"), environ=token))
    assert backed["files"]["files_count"] == 5
    only = json.loads(succeed(project, *words(remote_site, "backup", "--only", "files", "--json"), environ=token))
    assert set(only) == {"files"}
    for file in remote_site.upload_dir.rglob("*.jpg"):
        file.unlink()
    key = backed["database"]["details"]["key"]
    assert "add --yes" in run_command(project, *words(remote_site, "restore", "--database", key), environ=token).stderr
    refused = run_command(project, *words(remote_site, "restore", "--database", key, "--yes"), environ=token)
    assert (refused.returncode, refused.stdout) == (1, "")  # it has rows
    restored = succeed(project, *words(remote_site, "restore", "--database", key, "--force", "--yes"), environ=token)
    assert "database: " in restored
    assert len(list(remote_site.upload_dir.rglob("photos/*.jpg"))) == 5
    # A backup on this machine is encrypted with the site's key before it is sent.
    here = {"DATABASE_URL": remote_site.environ["DATABASE_URL"]}
    local = succeed(project, "oppman.py", "backup", "here.fastopp.gz", environ=here)
    assert "row(s)" in local
    command = words(remote_site, "restore", "--database", "here.fastopp.gz", "--force", "--yes")
    keyless = run_command(project, *command, environ=token)
    assert (keyless.returncode, "BACKUP_KEY" in keyless.stderr) == (2, True)
    other = run_command(project, *command, environ=token | {"BACKUP_KEY": "another-key-of-another-site"})
    assert (other.returncode, "another key" in other.stderr) == (1, True)
    assert "database: " in succeed(project, *command, environ=token | {"BACKUP_KEY": remote_site.environ["SECRET_KEY"]})
    assert json.loads(succeed(project, *words(remote_site, "errors", "--json"), environ=token))["errors"] == []
    assert json.loads(succeed(project, *words(remote_site, "slow", "--json"), environ=token))["recorded"] is True
    assert "backup-database\tsucceeded" in succeed(project, *words(remote_site, "tasks"), environ=token)
    waited = succeed(project, *words(remote_site, "wait", "--release", "r7"))
    assert "runs release r7" in waited
    smoke = json.loads(succeed(project, *words(remote_site, "check", "--release", "r7", "--json"), environ=token))
    steps = [step["step"] for step in smoke["steps"]]
    assert {"liveness", "release", "database", "migrations", "storage", "page /", "token"} <= set(steps)
    assert sum(step.startswith("file http") and "/static/" in step for step in steps) >= 2
    command = words(remote_site, "check", "--release", "r8", "--path", "/", "--path", "/not-there")
    failed = run_command(project, *command, environ={"OPS_TOKEN": "wrong" * 8})
    assert failed.returncode == 1
    found = [line.split("\t")[0] for line in failed.stdout.splitlines() if "\tfailed" in line]
    assert found == ["release", "page /not-there", "token"]
    assert "No incident is open" in succeed(project, *words(remote_site, "status", "--alert"), environ=token)
    told = json.loads(succeed(project, *words(remote_site, "status", "--alert", "--json"), environ=token))
    assert "health" in [rule["id"] for rule in told["alerts"]["rules"]]


def test_wrong_token_no_token(remote_site: Site) -> None:
    project = remote_site.project
    wrong = run_command(project, *words(remote_site, "migrate"), environ={"OPS_TOKEN": "wrong" * 8})
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "does not accept this token" in wrong.stderr
    assert "wrongwrong" not in wrong.stderr
    missing = run_command(project, *words(remote_site, "migrate"))
    assert (missing.returncode, "set OPS_TOKEN" in missing.stderr) == (2, True)
    nowhere = run_command(project, "oppman.py", "remote", "status")
    assert (nowhere.returncode, "--url" in nowhere.stderr) == (2, True)
    other = run_command(
        project,
        "oppman.py",
        "remote",
        "--url",
        remote_site.url,
        "--token-env",
        "LIVE",
        "tasks",
        environ={"LIVE": TOKEN},
    )
    assert other.returncode == 0, other.stderr
    told = run_command(project, *words(remote_site, "tasks", "--json"), environ={"OPS_TOKEN": "wrong" * 8})
    assert json.loads(told.stdout)["status"] == "error"


class Handler(BaseHTTPRequestHandler):
    """Answers with what its server's list says, the last one for ever."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.keys.append(self.headers.get("Idempotency-Key"))  # type: ignore[attr-defined] # set below
        answers = self.server.answers  # type: ignore[attr-defined] # set below
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if status == 0:
            self.connection.close()
            return
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 - the names of http.server

    def log_message(self, *words: object) -> None:
        """Nothing."""


Reply = tuple[int, dict[str, str], bytes]


@contextmanager
def server(*answers: Reply) -> Iterator[str]:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.answers = list(answers)  # type: ignore[attr-defined] # for the handler
    listening.keys = KEYS  # type: ignore[attr-defined] # as above
    KEYS.clear()
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


PARTIAL: Reply = (200, {}, b'{"status": "partial", "message": "The time was up."}')
UNFINISHED: Reply = (503, {"Retry-After": "7"}, b'{"status": "partial", "message": "Call again."}')
RUNNING: Reply = (409, {"Retry-After": "5"}, b'{"status": "running", "message": "Another does."}')
DONE: Reply = (200, {}, b'{"status": "success", "message": "Done."}')
GATEWAY: Reply = (502, {"Content-Type": "text/html"}, b"<h1>Bad gateway</h1>")


KEYS: list[str | None] = []
"""The Idempotency-Keys that the last server was sent."""


def follow(url: str, *, timeout: float = 600) -> tuple[dict[str, object], list[float]]:
    pauses: list[float] = []
    with RemoteSite(url, TOKEN, timeout=timeout, sleep=pauses.append) as site:
        return site.run("/async/x"), pauses


def test_an_operation_is_followed_until_it_is_done() -> None:
    with server(PARTIAL, UNFINISHED, RUNNING, GATEWAY, (0, {}, b""), DONE) as url:
        answer, pauses = follow(url)
    assert answer["status"] == "success"
    assert pauses == [1, 7, 5, 5, 5]
    # The rest of what was done in part is another request; the other repetitions are the same one.
    first, *repeated = KEYS
    assert len({first, *repeated}) == 2
    assert repeated == [repeated[0]] * 5


def test_progress_is_followed_for_as_long_as_it_takes() -> None:
    with server(*[PARTIAL] * 30, DONE) as url:
        assert len(follow(url)[1]) == 30
    with server(PARTIAL) as url, pytest.raises(OperationFailed, match="--timeout"):
        follow(url, timeout=0.5)


def test_what_does_not_get_better_is_given_up() -> None:
    down: Reply = (503, {"Retry-After": "1"}, b'{"status": "error", "message": "The storage does not answer."}')
    with server(down) as url, pytest.raises(OperationFailed, match=f"does not answer.*{PATIENCE + 1} times"):
        follow(url)
    with server((0, {}, b"")) as url, pytest.raises(NoAnswer):
        follow(url)


@pytest.mark.parametrize(
    ("reply", "error", "text"),
    [
        ((200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>"), NotFastOpp, "200 OK .text/html."),
        ((404, {}, b'{"detail": "Not Found"}'), NotFastOpp, "404"),
        ((200, {}, b"[1]"), NotFastOpp, "not a FastOpp"),
        ((401, {}, b'{"detail": "Sign in"}'), WrongToken, "401"),
        ((403, {}, b'{"detail": "No"}'), WrongToken, "403"),
        ((302, {"Location": "https://elsewhere.example/"}, b""), AddressRefused, "elsewhere"),
        ((409, {}, b'{"status": "error", "message": "There is no Object Storage."}'), OperationFailed, "no Object"),
        ((502, {}, b'{"status": "error", "message": "2 files failed."}'), OperationFailed, "2 files"),
        ((500, {}, b'{"status": "error", "message": ""}'), OperationFailed, "500"),
    ],
)
def test_what_is_not_an_answer(reply: Reply, error: type[Exception], text: str) -> None:
    with server(reply) as url, pytest.raises(error, match=text):
        follow(url)


def test_a_site_that_is_no_fastopp_has_no_health() -> None:
    for reply in (DONE, GATEWAY, (404, {}, b"")):
        with server(reply) as url, RemoteSite(url, timeout=5) as site, pytest.raises(NotFastOpp):
            site.health()


def health_of(release: str) -> Reply:
    return (503, {}, json.dumps({"status": "unhealthy", "release": release, "checks": {}}).encode())


def test_a_release_is_waited_for_until_only_it_answers() -> None:
    """Old instances, outages and pages of the platform in between."""
    old, new = health_of("old"), health_of("new")
    pauses: list[float] = []
    with (
        server(old, (0, {}, b""), GATEWAY, new, old, new, new, new) as url,
        RemoteSite(url, timeout=600, sleep=pauses.append) as site,
    ):
        assert wait_for(site, "new")["release"] == "new"
    assert pauses == [5, 5, 5, 1, 5, 1, 1]
    with (
        server(old) as url,
        RemoteSite(url, timeout=0.5) as site,
        pytest.raises(OperationFailed, match=r"--timeout\. Release old answers"),
    ):
        wait_for(site, "new")


def test_tls_of_nobody_known(certificates: Certificates) -> None:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.socket = certificates.server_context().wrap_socket(listening.socket, server_side=True)
    listening.handle_error = lambda *_: None  # type: ignore[method-assign,assignment] # the client hangs up
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    try:
        url = f"https://127.0.0.1:{listening.server_port}"
        with RemoteSite(url, timeout=5) as site, pytest.raises(NoTLS, match="certificate"):
            site.health()
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("your-app.leapcell.dev", "https://your-app.leapcell.dev"),
        ("https://your-app.leapcell.dev/", "https://your-app.leapcell.dev"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert site_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://x",
        "http://example.com",
        "https://a:b@example.com",
        "https://x/path",
        "https://x?a=1",
        "https://",
        "a b",
    ],
)
def test_refused_addresses(text: str) -> None:
    with pytest.raises(AddressRefused):
        site_url(text)


def test_a_token_that_cannot_be_one() -> None:
    for token in ("päss", "two words", "line\nbreak"):
        with pytest.raises(WrongToken):
            RemoteSite("https://example.com", token, timeout=1)


def test_the_token_is_not_seen_by_others(remote_site: Site) -> None:
    """Neither in the arguments nor in what is printed."""
    with server((503, {"Retry-After": "60"}, b'{"status": "error", "message": "Later."}')) as url:
        process = start_command(
            remote_site.project, "oppman.py", "remote", "--url", url, "migrate", environ={"OPS_TOKEN": TOKEN}
        )
        assert process.stderr
        said = process.stderr.readline()
        arguments = " ".join(psutil.Process(process.pid).cmdline())
        process.kill()
        rest, error = process.communicate()
    assert "Later." in said
    assert TOKEN not in arguments + said + rest + error
