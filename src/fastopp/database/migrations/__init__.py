"""Alembic in this process, on both databases."""
