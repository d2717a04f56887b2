"""Prepare, check, build and emulate a deployment on LeapCell."""

from __future__ import annotations

from fastopp.console.lazy import lazy_app

COMMANDS = {
    "init": (
        "fastopp.features.leapcell.init:leapcell_init",
        "Write leapcell.yaml, requirements.txt and .env.leapcell; ask for values that only the dashboard shows.",
    ),
    "check": (
        "fastopp.features.leapcell.check:leapcell_check",
        "Check everything that could fail on LeapCell: settings, build, start, database, files.",
    ),
    "build": (
        "fastopp.features.leapcell.build:leapcell_build",
        "Install, check, compile and compress. This is LeapCell's build command.",
    ),
    "env": (
        "fastopp.features.leapcell.env_commands:app",
        "Print the variables of .env.leapcell for the dashboard, or compare them with the deployed site.",
    ),
    "emulate": (
        "fastopp.features.leapcell.emulate:emulate",
        "Build the project and run it under LeapCell's rules, with a database, a bucket and a queue like LeapCell's.",
    ),
}
FOR_ANY_PROJECT = {name: COMMANDS[name] for name in ("check", "emulate")}

app = lazy_app(
    COMMANDS,
    help="Prepare, check, build and emulate a deployment on LeapCell.",
    no_args_is_help=True,
    add_completion=False,
)
