"""Errors: grouped, kept in the database, and shown to operators."""

PAGES = {"routes": ("/oppman/errors",)}
