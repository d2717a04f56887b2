"""A cache that all instances share: in the application's database or in Redis, with tags and one computation a miss."""
