"""`oppman.py leapcell`: what LeapCell needs, checked, built and tried on this machine."""

from __future__ import annotations

from fastopp.cli.lazy import lazy_app

COMMANDS = {
    "init": (
        "fastopp.cli.leapcell_init:leapcell_init",
        "Write leapcell.yaml, requirements.txt and .env.leapcell, asking for what only the dashboard knows.",
    ),
    "check": (
        "fastopp.cli.check:leapcell_check",
        "Look for everything that would go wrong on LeapCell: settings, build, start, database, files.",
    ),
    "build": (
        "fastopp.cli.leapcell_build:leapcell_build",
        "Install, check, compile and compress: what LeapCell's build machine runs.",
    ),
    "emulate": (
        "fastopp.cli.leapcell_emulate:emulate",
        "Build the project and run it under LeapCell's rules, with a database, a bucket and a queue like LeapCell's.",
    ),
}

app = lazy_app(
    COMMANDS,
    help="LeapCell: get ready for it, check and build for it.",
    no_args_is_help=True,
    add_completion=False,
)
