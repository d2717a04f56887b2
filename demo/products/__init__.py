"""The database demo: a product catalogue with a dashboard and a JSON API."""

from fastopp.core.apps import NavItem

NAVIGATION = [NavItem("Database", "/database-demo", section="demos")]
