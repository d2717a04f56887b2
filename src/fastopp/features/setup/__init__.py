"""The first superuser, seeding, and the management pages."""

PAGES = {"home": (), "oppman": ("/oppman",), "oppdemo": ("/oppdemo",)}
