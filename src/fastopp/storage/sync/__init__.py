"""Backup, restore and verify: a folder and a bucket made equal."""
