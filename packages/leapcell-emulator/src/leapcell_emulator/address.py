"""The public address: plain HTTP on loopback, or https at the project's own name."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from leapcell_emulator.authority import Authority, host_name
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.loopback import HOST, listen

HTTPS_PORT: Final = 443
TRUST: Final = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""The variables by which Python, curl, requests and Node.js take a file of authorities."""


class PublicAddress:
    """Listens from its beginning, and answers from `serve` on."""

    def __init__(self, options: EmulatorOptions) -> None:
        """Raises `PortTaken`, `AuthorityUnusable`."""
        self._exit = contextlib.ExitStack()
        self._listener = self._exit.enter_context(
            contextlib.closing(listen(options.port, what="the project", option="--port"))
        )
        self._port = self._local_port = self._listener.getsockname()[1]
        self.name = HOST
        self._authority: Authority | None = None
        if options.https is not None:
            with contextlib.ExitStack() as undo:
                undo.push(self._exit)
                self._authority = Authority(options.https)
                undo.pop_all()
            self.name = host_name(options.folder.resolve().name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit.close()

    async def serve(self, runner: web.ServerRunner, folder: Path) -> None:
        """Answer at the public address; if that is https, for our own services at another as well.

        folder: a private one for files.
        """
        if self._authority is None:
            await web.SockSite(runner, self._listener).start()
            return
        context = await asyncio.to_thread(self._authority.server_context, self.name, folder)
        await web.SockSite(runner, self._listener, ssl_context=context).start()
        own = self._exit.enter_context(contextlib.closing(listen(0, what="the services", option="--port")))
        self._local_port = own.getsockname()[1]
        await web.SockSite(runner, own).start()

    @property
    def url(self) -> str:
        """The public address."""
        if self._authority is None:
            return self.local_url
        return f"https://{self.name}" + (f":{self._port}" if self._port != HTTPS_PORT else "")

    @property
    def local_url(self) -> str:
        """The same in plain HTTP, for what runs on this machine."""
        return f"http://{HOST}:{self._local_port}"

    @property
    def authority(self) -> Path | None:
        """The certificate to trust; None: none is needed."""
        return self._authority.certificate if self._authority is not None else None

    def trust(self, folder: Path) -> dict[str, str]:
        """Return variables by which programs trust it; the folder gets a file."""
        return {} if self._authority is None else dict.fromkeys(TRUST, str(self._authority.bundle(folder)))
