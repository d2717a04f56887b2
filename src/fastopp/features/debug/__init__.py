"""Diagnostics for operators without a shell."""

OPERATIONS = {"routes": ("/debug",)}
