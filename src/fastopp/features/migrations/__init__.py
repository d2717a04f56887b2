"""Migrations from the command line and the management page."""

PAGES = {"routes": ("/oppman/migrations", "/oppman/migrate")}
