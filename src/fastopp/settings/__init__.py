"""The settings of a project: every environment variable, read once and typed."""

from __future__ import annotations

from fastopp.settings.app_settings import AppSettings
from fastopp.settings.loading import Settings, get_upload_dir, load_settings, read_variables
from fastopp.settings.problems import SettingsError

__all__ = ["AppSettings", "Settings", "SettingsError", "get_upload_dir", "load_settings", "read_variables"]
