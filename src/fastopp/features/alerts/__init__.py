"""Alerts: rules about the site, incidents while one is true, and the messages about them."""

PAGES = {"routes": ("/oppman/alerts",)}
