"""Shared code of commands: printing, asking, failing, options, and the project in the current folder."""
