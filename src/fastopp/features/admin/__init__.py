"""The admin panel, on SQLAdmin."""

PATH = "/admin"

PAGES = {"mount": (PATH,)}
