"""Prepare a deployment on Fly.io."""

from __future__ import annotations

from fastopp.console.lazy import lazy_app

COMMANDS = {
    "init": ("fastopp.features.fly.init:fly_init", "Write fly.toml, Dockerfile, .dockerignore and requirements.txt.")
}

app = lazy_app(COMMANDS, help="Prepare a deployment on Fly.io.", no_args_is_help=True, add_completion=False)
