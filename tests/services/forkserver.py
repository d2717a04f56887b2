"""A process that has imported the libraries, and forks a child for each Python program that it is asked to run.

`python forkserver.py SOCKET MODULE...` listens on the socket until its standard input ends; its children end with it.
tests/services/forks.py is the client. Nothing of the tests is imported here: a child finds in `sys.modules` what
programs of the project import, and no more. The framework is imported too, but for its tables and what needs them:
these belong to SQLModel's list of all tables, which is to have those of the project alone.

A request is one connection. The client sends one line of JSON, with the child's file descriptors beside it, and
receives a line with the child's process id and then a line with its exit status. When a client leaves, its child is
killed.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib.abc
import importlib.util
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_REQUEST = 1 << 20
"""Bytes of a request."""

MAX_FDS = 64
"""File descriptors of a request."""

ASIDE = 512
"""A child's descriptors are moved to this number and above before each is put in its place."""


FRAMEWORK = ("fastopp", "leapcell_emulator")
"""The packages whose modules are imported too, unless a request says that its program imports them itself."""

UNWANTED = ("testing", "templates", "__main__")
"""Names of modules and folders that are left out: pytest's plugin, projects to copy, and programs."""


class Server:
    """Forks for its clients, in one thread."""

    def __init__(self, path: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{path}.new")
        self.listener.listen(64)
        Path(f"{path}.new").rename(path)  # from now on clients find it
        self.woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self.selector = selectors.DefaultSelector()
        for fd in (self.listener.fileno(), self.woken, sys.stdin.fileno()):
            self.selector.register(fd, selectors.EVENT_READ)
        self.clients: dict[int, socket.socket] = {}

    def serve(self) -> dict[str, Any] | None:
        """Return the request in each child, and None in the server once its standard input has ended."""
        while True:
            for key, _ in self.selector.select():
                if key.fd == self.listener.fileno():
                    if (request := self.fork()) is not None:
                        return request
                elif key.fd == self.woken:
                    os.read(self.woken, 4096)
                    self.reap()
                elif key.fd == sys.stdin.fileno():
                    for pid in self.clients:
                        os.kill(pid, signal.SIGKILL)
                    return None
                else:
                    self.selector.unregister(key.fd)
                    os.kill(key.data, signal.SIGKILL)

    def fork(self) -> dict[str, Any] | None:
        """Fork for the next client. Return its request in the child."""
        client, _ = self.listener.accept()
        line, fds = b"", []
        while not line.endswith(b"\n"):
            part, more, _, _ = socket.recv_fds(client, MAX_REQUEST, MAX_FDS)
            if not part:
                client.close()
                return None
            line, fds = line + part, fds + more
        pid = os.fork()
        if pid == 0:
            for connection in (self.listener, client, *self.clients.values()):
                connection.close()
            self.selector.close()
            return {**json.loads(line), "fds": fds}
        for fd in fds:
            os.close(fd)
        self.clients[pid] = client
        self.selector.register(client, selectors.EVENT_READ, pid)
        send(client, pid)
        return None

    def reap(self) -> None:
        """Send the exit status of each child that has ended."""
        while self.clients:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            client = self.clients.pop(pid)
            with contextlib.suppress(KeyError):  # a client that has left is not listened to any more
                self.selector.unregister(client)
            send(client, os.waitstatus_to_exitcode(status))
            client.close()


def send(client: socket.socket, number: int) -> None:
    """Send a line; the client may have left."""
    with contextlib.suppress(OSError):
        client.sendall(f"{number}\n".encode())


def become(request: dict[str, Any], *, close: bool = True) -> None:
    """Give this child the descriptors, folder, environment and signals that a new Python process has.

    close: whether all other descriptors are closed.
    """
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["new_session"]:
        os.setsid()
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD, ASIDE) for fd in request["fds"]]
    if close:
        os.closerange(3, ASIDE)
    for number, fd in zip(request["numbers"], aside, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    sys.executable = request["executable"]
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    sys.stdout.reconfigure(line_buffering=unbuffered or sys.stdout.isatty(), write_through=unbuffered)
    sys.stderr.reconfigure(line_buffering=True, write_through=unbuffered)


def run(words: list[str], path: list[str]) -> None:
    """Run what `python WORDS` runs: a script, `-c CODE` or `-m MODULE`, each after any number of `-W ACTION`."""
    while words[0] == "-W":
        warnings.simplefilter(words[1])
        sys.warnoptions.append(words[1])
        words = words[2:]
    extra = os.environ.get("PYTHONPATH", "")
    path = [*filter(None, extra.split(os.pathsep)), *path]
    if words[0] == "-m":
        sys.argv, sys.path = words[1:], [str(Path.cwd()), *path]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if words[0] == "-c":
        sys.argv, sys.path = ["-c", *words[2:]], ["", *path]
        code, name = words[1], "<string>"
    else:
        script = Path(words[0]).absolute()
        sys.argv, sys.path = words, [str(script.parent), *path]
        code, name = script.read_text(encoding="utf-8"), str(script)
        main.__file__ = name
    exec(compile(code, name, "exec"), main.__dict__)


def framework_modules(package: str) -> Iterator[tuple[str, bool]]:
    """Yield each module of a package, and whether it defines a table."""
    found = importlib.util.find_spec(package)
    for folder in (found and found.submodule_search_locations) or ():
        for path in sorted(Path(folder).rglob("*.py")):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            if not set(parts) & set(UNWANTED):
                name = ".".join(parts).removesuffix(".__init__")
                yield name, "table=True" in path.read_text(encoding="utf-8")


class Refuse(importlib.abc.MetaPathFinder):
    """Lets no one import the given modules."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        """Raise an error for one of them."""
        if name in self.names:
            raise ImportError(name)


def import_framework() -> None:
    """Import the modules of the framework that need no table."""
    modules = dict(each for package in FRAMEWORK for each in framework_modules(package))
    refuse = Refuse({name for name, defines_table in modules.items() if defines_table})
    sys.meta_path.insert(0, refuse)
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.meta_path.remove(refuse)


def forget_framework() -> None:
    """Have this child import the framework itself, and what keeps the standard output of its import."""
    for name in list(sys.modules):
        if name.partition(".")[0] in FRAMEWORK or name == "alembic.config":
            del sys.modules[name]


def end(status: object) -> None:
    """End as an interpreter does, but do not free what was imported, which would copy each page that the server has."""
    threading._shutdown()  # joins the threads that are no daemons
    atexit._run_exitfuncs()
    if status is not None and not isinstance(status, int):
        sys.stderr.write(f"{status}\n")
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((status or 0) & 0xFF)


def main(path: str, *modules: str) -> None:
    """Import the modules and serve."""
    del sys.path[0]  # the folder of this file, whose names are not to hide libraries
    base = list(sys.path)
    for module in modules:
        importlib.import_module(module)
    import_framework()
    gc.collect()
    gc.freeze()
    request = Server(path).serve()
    if request is not None:
        become(request)
        if request["own_imports"]:
            forget_framework()
        try:
            run(request["words"], base)
            status: object = None
        except SystemExit as leaving:
            status = leaving.code
        if request["finalize"] or sys.warnoptions:  # some warnings come while objects are freed
            sys.exit(status)
        end(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
