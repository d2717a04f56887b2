"""Management of the demo: `python oppdemo.py --help`."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

if __name__ == "__main__" and find_spec("fastopp") is None:
    # No environment is active: go on in the project's own.
    environment = Path(__file__).resolve().parent / ".venv"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists() or Path(sys.prefix).resolve() == environment.resolve():
        sys.exit(f"FastOpp is not installed in {environment}.\nInstall it, or activate the environment that has it.")
    command = [str(python), *sys.argv]
    if os.name == "nt":  # there, a program that replaces itself seems to its shell to have ended
        sys.exit(subprocess.call(command))
    os.execv(python, command)

from fastopp.cli.oppdemo import main, run_full_init

__all__ = ["run_full_init"]

if __name__ == "__main__":
    main()
