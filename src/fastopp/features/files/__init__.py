"""Backup, restore and comparison of uploaded files, and large direct uploads."""
