"""The workers of xdist, forked from one process that has imported and collected the tests.

A worker of xdist imports all libraries and tests, and collects them: seven seconds of a processor and 300 MB, the same
in each. Here one process, the *collector*, does that. Then it waits, and each worker is a fork of it: execnet starts
the program of `forks.write_shim` for Python, and the fork goes on as a worker whose tests are collected.

It is left out with `--cov`, which has its own way to measure workers, and where the collector fails, so that plain
workers report why.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from xdist import remote

from tests.services import forks
from tests.services.forkserver import Server, become, end

SOCKET = "COLLECTOR_SOCKET"
"""The variable that makes a run of pytest the collector, and names its socket."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """In the collector, be a worker of xdist but for its channel, which comes with a fork."""
    if path := os.environ.pop(SOCKET, None):
        remote.setup_config(config, None)
        config.workerinput = {"workerid": "collector"}  # type: ignore[attr-defined]
        config.workeroutput = {}  # type: ignore[attr-defined]
        config.pluginmanager.register(Collector(path, capture_of(config.invocation_params.args[:-1])))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start the collector, and have xdist start its workers there."""
    workers = config.getoption("tx", None)
    if not config.getoption("numprocesses", None) or not workers or config.getoption("cov_source", None):
        return
    if shim := start_collector(config):
        config.option.tx = [f"popen//python={shim}" for _ in workers]
        config.pluginmanager.register(Forking())


def start_collector(config: pytest.Config) -> Path | None:
    """Return the program that starts a worker, or None if the tests cannot be collected."""
    folder = Path(tempfile.mkdtemp(prefix="forks-", dir="/tmp"))  # short: a socket's path has 107 bytes at most
    path = folder / "socket"
    words = [str(word) for word in config.invocation_params.args]
    command = [sys.executable, "-m", "pytest", *words, "--capture=no"]
    collector = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=config.invocation_params.dir,
        env=os.environ | {SOCKET: str(path)},
    )

    def stop() -> None:
        assert collector.stdin
        collector.stdin.close()
        collector.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    while not path.exists():
        if collector.poll() is not None:
            return None
        time.sleep(0.01)
    shim = folder / "python"
    forks.write_shim(shim, path)
    return shim


class Forking:
    """Has xdist run this module in its workers."""

    def pytest_xdist_getremotemodule(self) -> types.ModuleType:
        return sys.modules[__name__]


class Collector:
    """Stands where a worker runs its tests, and forks; a fork goes on as a worker."""

    session: pytest.Session
    """The session with the collected tests, as a fork finds it."""

    def __init__(self, path: str, capture: str) -> None:
        self.path = path
        self.capture = capture
        self.failed: list[pytest.CollectReport] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep it for the worker that reports it."""
        if not report.passed:
            self.failed.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> NoReturn:
        """Fork until the run is over, and end. In a fork, run what execnet sends."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the workers
        request = Server(self.path).serve()
        if request is None:
            end(None)
        else:
            self.session = session
            become(request, close=False)
            session.config.pluginmanager.unregister(self)
            self._run(request["words"])
        raise AssertionError

    def begin_capture(self, config: pytest.Config) -> None:
        """Capture what tests write, which must not be in a file that all forks write to."""
        config.option.capture = self.capture
        manager: Any = config.pluginmanager.getplugin("capturemanager")
        manager.stop_global_capturing()
        manager._method = self.capture
        manager.start_global_capturing()
        manager.suspend_global_capture()

    def _run(self, words: list[str]) -> None:
        """Run execnet's program, which says `python -u -c CODE`, and end."""
        main: Any = types.ModuleType("__main__")
        main.collector = self
        sys.modules["__main__"], sys.argv = main, ["-c"]
        status: object = None
        try:
            exec(words[words.index("-c") + 1], main.__dict__)
        except SystemExit as leaving:
            status = leaving.code
        end(status)


def run_worker(channel: Any) -> None:
    """Do what `xdist.remote` does in a worker, after collection."""
    workerinput, _, options, _ = channel.receive()
    collector: Collector = sys.modules["__main__"].collector  # type: ignore[attr-defined]
    session = collector.session
    config: Any = session.config
    os.environ["PYTEST_XDIST_TESTRUNUID"] = workerinput["testrunuid"]
    os.environ["PYTEST_XDIST_WORKER"] = workerinput["workerid"]
    os.environ["PYTEST_XDIST_WORKER_COUNT"] = str(workerinput["workercount"])
    config.option.basetemp = options.get("basetemp")
    config._tmp_path_factory._given_basetemp = Path(config.option.basetemp)
    config._parser.prog = Path(workerinput["mainargv"][0]).name
    config.workerinput.update(workerinput)
    collector.begin_capture(config)
    worker = remote.interactor = remote.WorkerInteractor(config, channel)  # which registers itself
    worker.pytest_sessionstart(session)
    for report in collector.failed:
        worker.pytest_collectreport(report)
    worker.pytest_collection_finish(session)
    try:
        config.hook.pytest_runtestloop(session=session)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED if session.testsfailed else pytest.ExitCode.OK
    except (KeyboardInterrupt, pytest.exit.Exception):
        session.exitstatus = pytest.ExitCode.INTERRUPTED
    except BaseException:  # noqa: BLE001 - as pytest itself does
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        config.notify_exception(pytest.ExceptionInfo.from_current(), config.option)
    finally:
        os.chdir(session.startpath)
        config.hook.pytest_sessionfinish(session=session, exitstatus=session.exitstatus)
        config._ensure_unconfigure()


def capture_of(words: Sequence[Any]) -> str:
    """Return how a run with these arguments captures what tests write."""
    for word in map(str, reversed(words)):
        if word == "-s":
            return "no"
        if word.startswith("--capture="):
            return word.partition("=")[2]
    return "fd"


if __name__ == "__channelexec__":
    from tests.collected import run_worker as run

    run(channel)  # type: ignore[name-defined] # noqa: F821 - execnet's, in a worker
