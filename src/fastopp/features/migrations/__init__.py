"""Migrations from the command line and the management page."""
