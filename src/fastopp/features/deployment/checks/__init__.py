"""Checks of a project's source for deployments on any platform."""

from fastopp.features.deployment.checks.drift import another_migration, another_release, settings_differ
from fastopp.features.deployment.checks.requirement_files import not_in_git, not_installable
from fastopp.features.deployment.checks.shared_memory import browser, multiprocessing
from fastopp.features.deployment.checks.writing import writes

__all__ = [
    "another_migration",
    "another_release",
    "browser",
    "multiprocessing",
    "not_in_git",
    "not_installable",
    "settings_differ",
    "writes",
]
