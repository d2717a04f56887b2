"""Python and SQL with the project at hand: `oppman.py shell`, `run` and `dbshell`."""
