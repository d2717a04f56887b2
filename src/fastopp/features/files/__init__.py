"""Backup, restore and comparison of uploaded files, and large direct uploads."""

OPERATIONS = {
    "routes": ("/admin/backup-files", "/admin/restore-files", "/oppman/files"),
    "uploads": ("/api/uploads",),
}
