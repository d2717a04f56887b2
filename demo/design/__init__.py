"""The design demo: what a page can do with HTML from the server, and hardly a line of JavaScript."""

from fastopp.core.apps import NavItem

NAVIGATION = [NavItem("Design", "/design-demo", section="demos")]
