"""The first superuser, seeding, and the management pages."""
