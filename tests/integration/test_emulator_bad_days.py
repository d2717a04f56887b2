"""Bad input and bad days: each gets one clear message, and nothing else is harmed."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from leapcell_emulator.confined import StartFailed
from leapcell_emulator.environment import EnvironmentRefused
from leapcell_emulator.fleet import Fleet
from leapcell_emulator.image import ProjectMissing, copy_project
from leapcell_emulator.loopback import PortTaken, free_port
from leapcell_emulator.sandbox_choice import SandboxUnavailable, choose_sandbox
from leapcell_emulator.saved import NothingToLoad
from tests.services.emulator import PROJECTS, copy_of, running, until, write_project

SERVER = (PROJECTS / "plain_http" / "server.py").read_text()
DEAF = SERVER.replace("import os\n", "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n")


ENDS = 30.0  # seconds of patience with what ends by itself
LISTENS = 4.0  # for a Python that is to listen meanwhile, on a busy machine


@pytest.mark.parametrize(
    ("start", "patience", "message"),
    [
        ("echo 'no such thing' >&2; exit 3", ENDS, r"ended with code 3 before it .* /kaithhealth\.\n  no such thing"),
        ("python missing.py", ENDS, r"ended with code 2 .*\n.*can't open file"),
        ("no-such-command", ENDS, r"ended with code 127 .*\n.*no-such-command: command not found"),
        ("kill -SEGV $$", ENDS, "ended by SIGSEGV before"),
        (
            "sleep 100",
            1.0,
            r"did not answer /kaithhealth within 1 s and was stopped\. It listens on no port; .* port 8080",
        ),
        ("python -m http.server 9123", LISTENS, r"It listens on port 9123, but leapcell\.yaml says 8080"),
        (
            "python -c 'import socket as s, time; x = s.create_server((\"\", 8080)); time.sleep(99)'",
            LISTENS,
            "does not answer",
        ),
        ("(sleep 100 &) ; true", ENDS, "ended with code 0 before"),
        ("if then", ENDS, "ended with code 2 before"),
    ],
)
async def test_a_start_command_that_brings_up_no_server(
    tmp_path: Path, start: str, patience: float, message: str
) -> None:
    project = write_project(tmp_path / "project", _quoted(start))
    with pytest.raises(StartFailed, match=message):
        async with running(project, instances=1, start_timeout=patience, start_warning=0.5):
            pass


async def test_two_instances_on_a_wrong_port_are_told_of_the_port_and_not_of_each_other(tmp_path: Path) -> None:
    other = free_port()
    project = write_project(tmp_path / "project", f"python -m http.server {other}")
    with pytest.raises(StartFailed, match=rf"It listens on port {other}, but leapcell\.yaml says 8080"):
        async with running(project, instances=2, start_timeout=60.0):
            pass


async def test_a_slow_start_is_remarked_on(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "sleep 0.6 && python server.py", server=SERVER)
    async with running(project, instances=1, start_warning=0.2) as service:
        assert service.fired("start_warning")[0].message == "i1 has not answered /kaithhealth within 0.2 s."


async def test_a_server_on_loopback_runs_with_a_remark(tmp_path: Path) -> None:
    start = "uvicorn main:app --port 8080"
    project = copy_of("plain_fastapi", tmp_path)
    write_project(project, start)
    async with running(project, instances=1) as service:
        assert (await service.client.get("/")).status_code == 200
        assert "i1 listens on 127.0.0.1 only: it runs, but LeapCell's documents ask for 0.0.0.0." in service.said


async def test_another_port_is_remarked_on(tmp_path: Path) -> None:
    inside, outside = free_port(), free_port()
    listen = "import socket\nkept = [socket.create_server(place) for place in {}]\n"
    listen = listen.format([("127.0.0.1", inside), ("127.0.0.1", 0), ("", 0), ("", outside)])
    server = SERVER.replace('make_server(""', f'{listen}make_server(""')
    project = write_project(tmp_path / "project", "python server.py", server=server)
    async with running(project, instances=1) as service:
        (event,) = service.fired("only_http")
        said = f"i1 has bound port {outside}: on LeapCell it is unreachable, only HTTP to port 8080 is."
        assert (event.rule, event.instance, event.message) == ("E20", "i1", said)


async def test_a_server_for_both_families(tmp_path: Path) -> None:
    server = SERVER.replace('make_server("",', 'make_server("::",').replace(
        "import make_server",
        "import WSGIServer, make_server\nimport socket\nWSGIServer.address_family = socket.AF_INET6",
    )
    project = write_project(tmp_path / "project", "python server.py", server=server)
    async with running(project) as service:
        assert (await service.client.get("/")).status_code == 200


async def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leapcell_emulator.confined.TERM_PATIENCE", 0.3)
    project = write_project(tmp_path / "project", "exec python server.py", server=DEAF)
    async with running(project, instances=1, deployment_overlap=0.0) as service:
        await service.emulator.deploy()
        await until(lambda: "i1 did not end within" in service.said)
        assert (await service.client.get("/")).status_code == 200


async def test_the_emulator_ends_with_a_server_that_ignores_sigterm(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "python server.py", server=DEAF)
    async with running(project, instances=1):
        pass


async def test_an_environment_that_is_too_big_is_refused_without_a_word_of_it() -> None:
    with pytest.raises(EnvironmentRefused, match=r"KiB, more than 3 KiB.*Largest: SECRET_KEY") as refused:
        async with running("plain_http", variables={"SECRET_KEY": "s3cr3t" * 520}):
            pass
    assert "s3cr3t" not in str(refused.value)


async def test_a_variable_that_is_none() -> None:
    with pytest.raises(EnvironmentRefused, match="'A-B' cannot be an environment variable"):
        async with running("plain_http", variables={"A-B": "1"}):
            pass


async def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} for the project is taken\..*--port, or 0 for any"):
            async with running("plain_http", port=port):
                pass


async def test_a_second_emulator_beside_the_first() -> None:
    async with running("plain_http", instances=1) as first, running("plain_http", instances=1) as second:
        assert first.emulator.url != second.emulator.url
        assert (await first.client.get("/")).status_code == 200
        assert (await second.client.get("/")).status_code == 200
    assert not first.emulator.fleet.running()


async def test_a_project_that_listens_on_the_port_of_the_emulator_itself() -> None:
    """8080 is LeapCell's port for both: the instances get others without knowing."""
    async with running("plain_http", port=0) as service:
        assert {instance["state"] for instance in service.emulator.state()["instances"]} == {"frozen"}


async def test_an_application_that_redirects_everything_to_https(tmp_path: Path) -> None:
    server = (PROJECTS / "plain_http" / "server.py").read_text()
    redirecting = server.replace('"200 OK", [', '"301 Moved", [("Location", "https://127.0.0.1:1/"), ')
    project = write_project(tmp_path / "project", "python server.py", server=redirecting)
    async with running(project, instances=1) as service:
        assert (await service.client.get("/")).status_code == 301


async def test_nothing_to_load() -> None:
    with pytest.raises(NothingToLoad, match="There is no folder"):
        async with running("plain_http", load=Path("/nowhere")):
            pass


def test_a_project_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProjectMissing):
        copy_project(tmp_path / "missing", tmp_path / "copy")


def test_a_sandbox_that_does_not_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leapcell_emulator.bubblewrap_sandbox.BubblewrapSandbox.works", lambda _self: False)
    assert choose_sandbox("auto").name == "landlock"
    with pytest.raises(SandboxUnavailable, match="Bubblewrap does not work"):
        choose_sandbox("bubblewrap")
    monkeypatch.setattr("leapcell_emulator.landlock_sandbox.LandlockSandbox.works", lambda _self: False)
    with pytest.raises(SandboxUnavailable, match=re.escape("neither Bubblewrap nor Landlock works")):
        choose_sandbox("auto")


async def test_a_client_that_sends_too_little_holds_nobody_up() -> None:
    async with running("plain_fastapi", instances=1, request_timeout=0.5) as service:
        import asyncio

        reader, writer = await asyncio.open_connection("127.0.0.1", int(service.emulator.url.rpartition(":")[2]))
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert b"504" in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        fleet: Fleet = service.emulator.fleet
        await until(lambda: fleet.in_hand == 0)


def _quoted(text: str) -> str:
    """A YAML scalar."""
    return "'" + text.replace("'", "''") + "'"
