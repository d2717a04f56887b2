"""Backups of the database: one portable file for both kinds."""

OPERATIONS = {"routes": ("/admin/backup-database", "/admin/restore-database")}
