"""The webinar demo: a public showcase of attendees, and the registrants behind it with notes and photos."""

from fastopp.core.apps import NavItem

NAVIGATION = [
    NavItem("Webinars", "/webinar-demo", section="demos"),
    NavItem("Registrants", "/webinar-registrants", section="management", requires="staff"),
]
