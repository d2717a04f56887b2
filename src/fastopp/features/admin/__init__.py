"""The admin panel, on SQLAdmin."""
