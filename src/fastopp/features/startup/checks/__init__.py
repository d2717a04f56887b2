"""Checks of the apps that main.py lists."""

from fastopp.features.startup.checks.admin_columns import admin_columns
from fastopp.features.startup.checks.models import postponed_relations, unfit_models
from fastopp.features.startup.checks.names import misspelled_variables, unknown_variables
from fastopp.features.startup.checks.routes import hidden_routes
from fastopp.features.startup.checks.templates import rendered_templates, template_names, template_syntax

__all__ = [
    "admin_columns", "hidden_routes", "misspelled_variables", "postponed_relations", "rendered_templates",
    "template_names", "template_syntax", "unfit_models", "unknown_variables",
]  # fmt: skip
