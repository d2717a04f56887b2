"""Checks of the database: its URL, its encryption, its pooler."""
