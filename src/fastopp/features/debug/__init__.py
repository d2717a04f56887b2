"""Diagnostics for operators without a shell."""
