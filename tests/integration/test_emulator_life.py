"""The life of instances: dormant, killed, replaced by a deployment, out of memory, over."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import psutil
import pytest

from fastopp.platforms.base import MIB
from leapcell_emulator.actions import UnknownAction
from leapcell_emulator.build import BuildFailed
from leapcell_emulator.control_group import ControlGroup
from leapcell_emulator.emulator import DeploymentRunning
from leapcell_emulator.fleet import UnknownInstance
from leapcell_emulator.loopback import free_port
from leapcell_emulator.parts import make_services
from leapcell_emulator.services.cron import CronError
from leapcell_emulator.workplace import Workplace
from tests.services import forks
from tests.services.emulator import PROJECTS, copy_of, running, until, write_project


async def test_an_instance_without_traffic_is_given_up_and_its_tmp_with_it() -> None:
    async with running("plain_http", instances=1, dormant_after=0.3) as service:
        await service.client.get("/")
        await until(lambda: service.fired("dormant_after"))
        await until(lambda: service.instance("i1")["state"] == "dormant")
        assert (await service.client.get("/")).status_code == 200
        assert service.fired("cold_start")[0].instance == "i2"
        assert service.emulator.state()["cold_starts"] == 1


async def test_a_cold_start_is_waited_for_by_all_who_come_meanwhile() -> None:
    async with running("plain_fastapi", instances=1, cold_start=0.2) as service:
        await service.client.post("/write", params={"path": "/tmp/before"})
        await service.emulator.act("sleep", "i1")
        answers = await asyncio.gather(*(service.client.get("/") for _ in range(5)))
        assert [answer.json()["temp"] for answer in answers] == [[]] * 5
        assert service.emulator.state()["cold_starts"] == 1
        waits = [service.emulator.request(str(number))["times"]["cold"] for number in range(1, 7)]
        assert [wait >= 0.2 for wait in waits] == [False] + [True] * 5


async def test_a_killed_instance_takes_its_requests_with_it() -> None:
    async with running("plain_fastapi", instances=1) as service:
        slow = asyncio.create_task(service.client.get("/slow", params={"seconds": 5}))
        await until(lambda: service.emulator.fleet.in_hand == 1)
        assert await service.emulator.act("kill", "i1") == "i1 is gone, with its /tmp."
        assert (await slow).status_code == 502
        assert "interrupted GET /slow" in service.said
        assert (await service.client.get("/")).status_code == 200


async def test_an_instance_that_ends_itself() -> None:
    async with running("plain_fastapi", instances=1) as service:
        assert (await service.client.post("/exit", params={"code": 3})).status_code == 502
        await until(lambda: "i1 ended with code 3" in service.said)
        assert (await service.client.get("/")).status_code == 200
        assert service.instance("i1")["ended"] == "i1 ended with code 3."


async def test_frozen_in_the_middle_of_a_request() -> None:
    async with running("plain_fastapi", instances=1) as service:
        slow = asyncio.create_task(service.client.get("/slow", params={"seconds": 1}))
        await until(lambda: service.emulator.fleet.in_hand == 1)
        await service.emulator.act("freeze", "i1")
        await asyncio.sleep(1.2)
        assert not slow.done()
        await service.emulator.act("thaw", "i1")
        assert (await slow).status_code == 200


async def test_unknown_actions_and_instances() -> None:
    async with running("plain_http", instances=1) as service:
        with pytest.raises(UnknownAction, match="cannot explode"):
            await service.emulator.act("explode", "i1")
        with pytest.raises(UnknownInstance, match="No instance i9"):
            await service.emulator.act("kill", "i9")


async def test_a_deployment_replaces_the_instances_without_losing_a_request(tmp_path: Path) -> None:
    project = copy_of("plain_fastapi", tmp_path)
    async with running(project, deployment_overlap=0.3, variables={"A": "1"}) as service:
        stop = asyncio.Event()
        statuses: list[int] = []

        async def visit() -> None:
            while not stop.is_set():
                statuses.append((await service.client.get("/slow", params={"seconds": 0.01})).status_code)

        visitors = [asyncio.create_task(visit()) for _ in range(3)]
        long = asyncio.create_task(service.client.get("/slow", params={"seconds": 2}))
        main = project / "main.py"
        main.write_text(main.read_text() + '\n@app.get("/new")\ndef new() -> str:\n    return "new"\n')
        deploying = asyncio.create_task(service.emulator.deploy())
        await asyncio.sleep(0.05)
        with pytest.raises(DeploymentRunning):
            await service.emulator.deploy()
        await deploying
        assert {instance["deployment"] for instance in service.emulator.state()["instances"]} == {1, 2}
        await until(lambda: service.fired("deployment_overlap"))
        stop.set()
        await asyncio.gather(*visitors)
        assert (await long).status_code == 200
        assert set(statuses) == {200}
        assert (await service.client.get("/new")).json() == "new"
        assert service.instance("i1")["ended"] == "Deployment 2 replaced it."


async def test_a_changed_file_is_deployed(tmp_path: Path) -> None:
    """What does not start leaves what runs."""
    project = copy_of("plain_http", tmp_path)
    server = project / "server.py"
    async with running(project, instances=1, deployment_overlap=0.0, watch=True) as service:
        (project / ".git").mkdir()
        (project / ".git" / "index").touch()  # not of the project
        server.write_text(server.read_text().replace("os.getpid()", "'changed'"))
        await until(lambda: service.fired("deployment_overlap"))
        assert "Changed: server.py. Deploying" in service.said
        assert (await service.client.get("/")).text == "changed /"
        server.write_text("raise SystemExit('no')")
        await until(lambda: "What ran before goes on." in service.said)
        assert (await service.client.get("/")).text == "changed /"


async def test_a_watched_change_is_served_by_the_first_instance_that_is_up(tmp_path: Path) -> None:
    """The one that is not yet up follows; the old ones take no request any more."""
    project = copy_of("plain_http", tmp_path)
    server = project / "server.py"
    async with running(project, instances=2, watch=True, deployment_overlap=60.0) as service:
        # Only one of the two gets the port; the other is slow.
        slow = (
            "import socket, time\nturn = socket.socket()\ntry:\n"
            f"    turn.bind(('127.0.0.1', {free_port()}))\nexcept OSError:\n    time.sleep(1.5)\n\n"
        )
        text = server.read_text().replace("os.getpid()", "'changed'")
        server.write_text(text.replace('make_server("", 8080', slow + 'make_server("", 8080'))
        await until(lambda: any(one.deployment.number == 2 for one in service.emulator.fleet.running()))
        for _ in range(3):
            assert (await service.client.get("/")).text == "changed /"
        await until(lambda: [one.deployment.number for one in service.emulator.fleet.running()] == [2, 2])


async def test_a_timer_is_run_on_demand(tmp_path: Path) -> None:
    cron = tmp_path / "cron.yaml"
    cron.write_text("cron: [{path: /tick, every: 3600}]")
    services = make_services(database=False, object_storage=False, cron=cron)
    async with running("plain_http", instances=1, services=services) as service:
        assert await service.emulator.act("run-cron", "0") == "POST /tick was answered with 200."
        with pytest.raises(CronError, match="There is no timer 1"):
            await service.emulator.act("run-cron", "1")
        assert service.emulator.state()["services"]["cron"]["timers"][0]["calls"] == 1


async def test_latencies(tmp_path: Path) -> None:
    async with running("plain_http", instances=1, latency=0.05) as service:
        begun = asyncio.get_running_loop().time()
        await service.client.get("/")
        assert asyncio.get_running_loop().time() - begun >= 0.05


async def test_a_changed_environment_comes_with_the_next_deployment(tmp_path: Path) -> None:
    env_file = tmp_path / "variables"
    env_file.write_text("GREETING=hello\nEMPTY=\n")
    async with running("plain_fastapi", instances=1, deployment_overlap=0.0, env_file=env_file) as service:
        assert (await service.client.get("/environment")).json()["GREETING"] == "hello"
        env_file.write_text("GREETING=good day\n")
        await service.emulator.act("deploy")
        await until(lambda: service.fired("deployment_overlap"))
        assert (await service.client.get("/environment")).json()["GREETING"] == "good day"


async def test_a_websocket_where_the_rules_allow_it() -> None:
    async with running("plain_fastapi", instances=1, websockets=True) as service, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{service.emulator.url}/socket") as socket:
            assert await socket.receive_str() == "hello"
            await socket.send_str("anybody there?")
            assert await socket.receive_str() == "anybody there?"
            assert service.instance("i1")["state"] == "running"
        await until(lambda: service.instance("i1")["state"] == "frozen")


async def test_deployments_in_quick_succession_leave_the_last_and_its_files_only() -> None:
    async with running("plain_http", deployment_overlap=0.3, dormant_after=0.2) as service:
        folder = service.emulator.fleet.running()[0].deployment.image.folder.parent.parent
        for _ in range(3):
            await service.emulator.deploy()
            assert (await service.client.get("/")).status_code == 200
        await until(lambda: len(service.fired("deployment_overlap")) == 3)
        assert (await service.client.get("/")).status_code == 200
        await until(lambda: [path.name for path in folder.glob("deployment-*")] == ["deployment-4"])
        alive = [instance for instance in service.emulator.state()["instances"] if instance["pid"]]
        assert {instance["deployment"] for instance in alive} <= {4}


async def test_a_deployment_that_does_not_start_leaves_the_old_one(tmp_path: Path) -> None:
    project = copy_of("plain_http", tmp_path)
    async with running(project, instances=1) as service:
        (project / "server.py").write_text("raise SystemExit('no')")
        with pytest.raises(Exception, match="ended with code 1"):
            await service.emulator.deploy()
        assert (await service.client.get("/")).status_code == 200


@pytest.mark.parametrize("sandbox", ["bubblewrap", "landlock"])
async def test_nothing_that_an_instance_starts_outlives_it(sandbox: str) -> None:
    async with running("plain_fastapi", instances=1, sandbox=sandbox) as service:
        await service.client.post("/daemon")
        outer = psutil.Process(service.instance("i1")["pid"])
        started = outer.children(recursive=True)
        daemon = next(process for process in started if process.name() == "sleep")
        # It made a session of its own, and is stopped and killed all the same.
        await until(lambda: daemon.status() == psutil.STATUS_STOPPED)
        await service.emulator.act("kill", "i1")
        assert psutil.wait_procs(started, timeout=5)[1] == []


async def test_too_much_memory() -> None:
    async with running("plain_fastapi", instances=1) as service:
        answer = await service.client.post("/leak", params={"size": 900 * 1024 * 1024})
        assert answer.status_code == 502
        await until(lambda: service.fired("memory_cap"))
        assert service.fired("memory_cap")[0].message == (
            "i1 used more memory than leapcell.yaml gives it (512 MB) and was killed."
        )
        assert (await service.client.get("/")).status_code == 200


async def test_memory_is_watched_where_the_kernel_cannot_cap_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leapcell_emulator.control_group.ROOT", Path("/nowhere"))
    async with running("plain_fastapi", instances=1) as service:
        assert service.instance("i1")["memory_limited"] is False
        await service.client.post("/leak", params={"size": 600 * 1024 * 1024})
        await until(lambda: service.fired("memory_cap"))
        await until(lambda: service.instance("i1")["state"] == "gone")
        assert service.instance("i1")["ended"].startswith("i1 ")


async def test_a_tmp_of_limited_size() -> None:
    async with running("plain_fastapi", instances=1, tmp_size=1024 * 1024) as service:
        written = await service.client.post("/write", params={"path": "/tmp/small"})
        assert written.text == '"written"'
        assert service.instance("i1")["temp_files"] == 1
        fill = {"path": "/tmp/large", "size": 2 * 1024 * 1024}
        assert "No space left on device" in (await service.client.post("/write", params=fill)).text
        await until(lambda: service.fired("tmp_size"))
        assert service.fired("tmp_size")[0].message == "/tmp is full: 1 MiB."
        assert service.instance("i1")["temp_bytes"] <= 1024 * 1024
        await service.emulator.act("wipe", "i1")
        assert service.instance("i1")["temp_files"] == 0
        assert (await service.client.post("/write", params={"path": "/tmp/small"})).text == '"written"'


async def test_the_share_of_a_processor() -> None:
    async with running("plain_fastapi", instances=1, cpu_share=True) as service:
        instance = service.instance("i1")
        if not instance["cpu_limited"]:
            pytest.skip("no control group can be made here")
        # 512 MB buy 29 % of a processor.
        assert (await service.client.get("/burn", params={"seconds": 0.5})).json() > 0.5 / 0.29 * 0.8


async def test_a_flood_of_log_lines_is_counted_and_not_shown() -> None:
    async with running("plain_fastapi", instances=1) as service:
        assert (await service.client.post("/flood", params={"lines": 100_000})).status_code == 200
        await until(lambda: any("lines more, too many to show" in line for _, line in service.lines))
        assert len(service.lines) < 1000


async def test_the_build_runs_in_its_own_environment_and_its_files_are_there(tmp_path: Path) -> None:
    build = "python -c 'import sys; print(sys.prefix)' > prefix.txt && echo two >> prefix.txt"
    project = write_project(tmp_path / "project", "python server.py", build=build)
    (project / "server.py").write_text(
        (PROJECTS / "plain_http" / "server.py").read_text().replace("environ['PATH_INFO']", "open('prefix.txt').read()")
    )
    async with running(project, instances=1, build=True) as service:
        text = (await service.client.get("/")).text
        assert "/environment" in text
        assert not (project / "prefix.txt").exists()


async def test_a_build_that_takes_too_long(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "python server.py", runtime="go", build="sleep 100")
    with pytest.raises(BuildFailed, match=r"The build took longer than 0\.5 s"):
        async with running(project, build=True, build_timeout=0.5):
            pass


async def test_a_build_that_fails(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "python server.py", runtime="go", build="echo something; exit 4")
    with pytest.raises(BuildFailed, match=r"failed with code 4(.|\n)*something"):
        async with running(project, build=True):
            pass


@pytest.mark.parametrize("sandbox", ["bubblewrap", "landlock"])
async def test_a_build_cannot_change_the_machine(tmp_path: Path, sandbox: str) -> None:
    outside = tmp_path / "outside"
    outside.touch()
    project = write_project(
        tmp_path / "project", "python server.py", runtime="go", build=f"echo harm > {outside} || exit 5"
    )
    with pytest.raises(BuildFailed, match="code 5"):
        async with running(project, build=True, sandbox=sandbox):
            pass
    assert outside.read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("sandbox", ["bubblewrap", "landlock"])
def test_whatever_ends_the_emulator_ends_all_it_started(number: signal.Signals, sandbox: str) -> None:
    words = ["-m", "leapcell_emulator", "emulate", "--folder", PROJECTS / "plain_http"]
    words += [
        "--no-build",
        "--instances",
        "1",
        "--port",
        "0",
        "--async-port",
        "0",
        "--no-database",
        "--no-object-storage",
    ]
    with forks.Program([*words, "--sandbox", sandbox], stdout=forks.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Services:" in line:
                break
        emulator = psutil.Process(process.pid)
        started = emulator.children(recursive=True)
        assert started
        [lock] = [Path(file.path) for file in emulator.open_files() if file.path.endswith("/lock")]
        process.send_signal(number)
        process.stdout.read()
        code = process.wait(20)
    assert code == (-9 if number == signal.SIGKILL else 0)
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []
    if number != signal.SIGKILL:
        assert not lock.parent.exists()


def test_the_folder_of_a_killed_emulator_is_deleted_by_the_next() -> None:
    pid = os.fork()
    if pid == 0:
        Workplace()
        os._exit(0)
    os.waitpid(pid, 0)
    with Workplace() as mine, Workplace():
        abandoned = [path for path in mine.folder.parent.glob("leapcell-*/lock") if not _locked(path)]
        assert abandoned == []
        assert mine.folder.exists()


def test_the_control_groups_of_a_killed_emulator_are_removed_by_the_next() -> None:
    group = ControlGroup("leapcell-killed-i1", memory=MIB, cpu=None)
    with Workplace():
        assert group.memory() is None


def _locked(path: Path) -> bool:
    import fcntl

    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
