"""The cache: commands. `fastopp.cache` has the cache itself, and `fastopp.web.cached` the decorator."""
