"""A way in where there is no shell and nobody knows a password."""
