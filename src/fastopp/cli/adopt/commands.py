"""The commands: each script of the project becomes one."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from fastopp.cli.adopt.old_project import Module


def is_script(module: Module) -> bool:
    """Return whether a module is a script of the project, to be run by itself."""
    ours = bool(module.own) and not module.is_frameworks
    return module.name.startswith("scripts.") and not module.is_package and ours


def write_commands(modules: Iterable[Module], app: str) -> str:
    """Return the text of the app's commands.py."""
    parts = [
        f'"""Commands of {app}, once scripts."""\n\nimport typer\n\n'
        "from fastopp.features.adopted.scripts import run_script\n\n"
        'app = typer.Typer()\nANY = {"allow_extra_args": True, "ignore_unknown_options": True}\n\n\n'
        f'@app.callback()\ndef commands() -> None:\n    """Commands of {app}."""\n'
    ]
    for module in modules:
        function = module.name.removeprefix("scripts.").replace(".", "_")
        text = (ast.get_docstring(module.source.tree) or f"Run the script {module.path}.").strip().partition("\n")[0]
        parts.append(
            f'\n\n@app.command("{function.replace("_", "-")}", context_settings=ANY, help={text!r})\n'
            f'def {function}(context: typer.Context) -> None:\n    run_script("{app}.{module.name}", context.args)\n'
        )
    return "".join(parts)
