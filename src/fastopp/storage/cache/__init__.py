"""Copies of uploaded files on this instance's disk, which may vanish at any time."""
