"""The first superuser, seeding, and the management pages."""

PAGES = {"home": ("/", "/license"), "oppman": ("/oppman",), "oppdemo": ("/oppdemo",)}
