"""The framework's own tasks, found as an app's are. Each may be repeated, and goes on where it was interrupted."""

from __future__ import annotations

from fastopp.ops.tasks.cleaning import clean_up
from fastopp.ops.tasks.database import backup_database, migrate
from fastopp.ops.tasks.demo import init_demo
from fastopp.ops.tasks.files import backup_files, restore_files

__all__ = ["backup_database", "backup_files", "clean_up", "init_demo", "migrate", "restore_files"]
