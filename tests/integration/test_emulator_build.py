"""Builds: what they may change, what an instance then finds, and what is used again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from leapcell_emulator.build import BuildFailed, system_folders
from leapcell_emulator.interpreters import PythonMissing, Wanted, find_python
from leapcell_emulator.sandbox_choice import choose_sandbox
from tests.services.emulator import RunningEmulator, running, write_project

# Answers with what a Python expression says, as text.
SERVER = """\
import json, os, subprocess, sys
from pathlib import Path
from urllib.parse import unquote
from wsgiref.simple_server import make_server

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        return [str(eval(unquote(environ["QUERY_STRING"]))).encode()]
    except Exception as error:
        return [repr(error).encode()]

make_server("", int(os.environ.get("LISTEN", "8080")), application).serve_forever()
"""


async def ask(service: RunningEmulator, expression: str) -> str:
    return (await service.client.get(f"/?{expression}")).text


UNBUFFERED = {**os.environ, "PYTHONUNBUFFERED": "1"}


def built(service: RunningEmulator) -> str:
    return "\n".join(line for name, line in service.lines if name == "build")


async def test_a_build_can_change_the_system_and_only_the_project_sees_it(tmp_path: Path) -> None:
    """As `apt-get install` does; without root the message says what is needed."""
    build = "apt-get --version > /usr/local/share/emulator-test && mkdir /var/lib/emulator-test && echo model > ~/model"
    project = write_project(tmp_path / "project", "python3 server.py", runtime="go", build=build, server=SERVER)
    if not system_folders(choose_sandbox(), Path("/var/tmp")):
        with pytest.raises(BuildFailed) as failed:
            async with running(project, build=True):
                pass
        assert "System packages can be installed" in (failed.value.hint or "")
        return
    async with running(project, build=True, instances=1) as service:
        assert (await ask(service, "open('/usr/local/share/emulator-test').read()")).startswith("apt ")
        assert await ask(service, "os.listdir('/var/lib/emulator-test')") == "[]"
        assert await ask(service, "Path('~/model').expanduser().read_text()") == "model\n"
        for path in ("/usr/local/share/emulator-test", "/root/model", "/var/lib/emulator-test/x", "/x", "/var/x", "x"):
            assert "Read-only file system" in await ask(service, f"open('{path}','w')")
    assert not any(map(os.path.exists, ("/usr/local/share/emulator-test", "/var/lib/emulator-test")))


async def test_what_a_build_installs_is_used_again(tmp_path: Path) -> None:
    build = "pip install -r requirements.txt && date +%N > stamp.txt"
    project = write_project(tmp_path / "project", "python server.py", build=build, server=SERVER)
    (project / "requirements.txt").write_text("")
    kept = tmp_path / "kept"
    async with running(project, build=True, builds=kept, instances=1, deployment_overlap=0.0) as service:
        stamp = await ask(service, "open('stamp.txt').read()")
        assert "Building: pip install -r requirements.txt" in built(service)
        assert await ask(service, "sys.prefix") == "/environment"
        # Nothing has changed: not even the rest is built again.
        service.lines.clear()
        await service.emulator.deploy()
        assert built(service) == "No file has changed: the build is used again (--rebuild)"
        assert await ask(service, "open('stamp.txt').read()") == stamp
    # In another run, with a file changed that no installer reads.
    (project / "server.py").write_text(SERVER.replace("text/plain", "text/html"))
    async with running(project, build=True, builds=kept, instances=1, deployment_overlap=0.0) as service:
        assert "Nothing that “pip install -r requirements.txt” reads has changed" in built(service)
        assert await ask(service, "open('stamp.txt').read()") != stamp
        assert (await service.client.get("/?1")).headers["content-type"] == "text/html"
        # The installer's own file.
        service.lines.clear()
        (project / "requirements.txt").write_text("# nothing\n")
        await service.emulator.deploy()
        assert "Building: pip install -r requirements.txt" in built(service)
    async with running(project, build=True, builds=kept, instances=1, rebuild=True) as service:
        assert "Building: pip install -r requirements.txt" in built(service)
    assert len(list(kept.iterdir())) == 2


async def test_a_failed_build_keeps_nothing(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "exit", runtime="go", build="pip3 install --no-such-option")
    with pytest.raises(BuildFailed, match="no such option"):
        async with running(project, build=True, builds=tmp_path / "kept"):
            pass
    assert list((tmp_path / "kept").iterdir()) == []


async def test_an_instance_does_not_see_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the system, and the Python that it runs by; --host-tools shows the rest."""
    monkeypatch.setenv("PATH", f"/home/tools:{os.environ['PATH']}")
    project = write_project(tmp_path / "project", "python server.py", server=SERVER)
    other = Path(__file__).parents[2] / "docs"
    async with running(project, instances=1) as service:
        assert await ask(service, f"os.path.exists('{other}')") == "False"
        assert await ask(service, "os.getcwd(), os.environ['HOME']") == "('/app', '/root')"
        assert "/home/tools" not in await ask(service, "os.environ['PATH']")
        assert await ask(service, "os.cpu_count()") == "1"
        assert await ask(service, "open('/proc/meminfo').readline().split()[1]") == str(512 * 1024)
        assert await ask(service, "os.uname().nodename") == "leapcell"
        assert await ask(service, "os.listdir('/run')") in ("[]", "['systemd']")
        assert await ask(service, "os.listdir('/var/tmp'), os.path.exists('/home')") == "([], False)"
    async with running(project, instances=1, shown=(other,)) as service:
        assert await ask(service, f"os.listdir('{other}') != []") == "True"
    async with running(project, instances=1, host_tools=True) as service:
        assert await ask(service, f"os.path.exists('{other}')") == "True"
        assert "/home/tools" in await ask(service, "os.environ['PATH']")
        assert await ask(service, "os.cpu_count()") == str(os.cpu_count())
        assert "Read-only file system" in await ask(service, f"open('{other}/x','w')")


async def test_servers_of_this_machine_are_out_of_reach(tmp_path: Path) -> None:
    """But not the emulator's, nor those that the instance has started."""
    project = write_project(tmp_path / "project", "python server.py", server=SERVER)
    connect = "__import__('socket').create_connection(('{}',{}))"
    listen = "(s := __import__('socket').create_server(('127.0.0.1',0))) and "
    own = listen + connect.format("127.0.0.1", "s.getsockname()[1]")
    with (
        socket.create_server(("127.0.0.1", 0)) as ours,
        subprocess.Popen(  # noqa: ASYNC220 - it takes no time
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env=UNBUFFERED,
        ) as server,
    ):
        assert server.stdout is not None
        port = server.stdout.readline().split()[5]
        async with running(project, instances=1) as service:
            refused = await ask(service, connect.format("127.0.0.1", port))
            assert "ConnectionRefusedError" in refused
            assert refused == await ask(service, connect.format("localhost", port))
            assert f"127.0.0.1:{port} was refused: a server of this machine" in service.said
            assert "<socket.socket" in await ask(service, connect.format("127.0.0.1", ours.getsockname()[1]))
            assert "<socket.socket" in await ask(service, own)
        async with running(project, instances=1, host_tools=True) as service:
            assert "<socket.socket" in await ask(service, connect.format("127.0.0.1", port))
        server.kill()


async def test_the_settings_of_the_dashboard(tmp_path: Path) -> None:
    """A folder of a repository without leapcell.yaml, on a port that only the dashboard knows."""
    repository = tmp_path / "repository"
    (repository / "web").mkdir(parents=True)
    (repository / "shared.txt").write_text("shared")
    (repository / "web" / "main.py").write_text(SERVER + "\nif __name__ == '__main__': pass\n")
    settings = {"port": 9001, "memory": "2gb"}
    async with running(
        repository,
        instances=1,
        root_directory="web",
        settings=settings,
        variables={"LISTEN": "9001"},
        save_manifest=True,
    ) as service:
        assert await ask(service, "open('../shared.txt').read(), os.getcwd()") == "('shared', '/app/web')"
        assert await ask(service, "os.cpu_count()") == "2"
        assert "startCommand: python main.py (the program main.py)" in service.said
        assert service.emulator.state()["manifest"]["port"] == 9001
    assert (repository / "web" / "leapcell.yaml").read_text() == (
        "runtime: python\nstartCommand: python main.py\nport: 9001\nmemory: 2048mb\n"
    )


async def test_the_python_that_a_project_asks_for(tmp_path: Path) -> None:
    own = f"3.{sys.version_info.minor}"
    project = write_project(tmp_path / "project", "python server.py", build="ls", server=SERVER)
    (project / ".python-version").write_text("3.99\n")
    with pytest.raises(PythonMissing, match=r"\.python-version asks for Python 3\.99"):
        async with running(project, build=True):
            pass
    try:
        wanted = find_python(Wanted(version=f">=3.9,!={own}.*", source="a test")).version
    except PythonMissing:  # this machine has one Python only
        wanted = own
    wanted = ".".join(wanted.split(".")[:2])
    async with running(project, build=True, instances=1, python=wanted) as service:
        assert await ask(service, "'%d.%d' % sys.version_info[:2]") == wanted


async def test_a_project_of_node(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "package.json").write_text('{"name": "x", "version": "1.0.0", "scripts": {"start": "node server.js"}}')
    (project / "server.js").write_text(
        'const fs = require("fs"), say = (_, r) => r.end(process.cwd() + fs.readFileSync("built"));\n'
        'require("http").createServer(say).listen(8080);'
    )
    settings = {"buildCommand": "npm install --offline && echo ' built' > built"}
    async with running(project, build=True, instances=1, settings=settings) as service:
        assert (await service.client.get("/")).text == "/app built\n"
        assert "startCommand: npm start (the script start in package.json)" in service.said
        assert "runtime: node (package.json)" in service.said
