"""Backups of the database: one portable file for both kinds, and the restore."""
