"""The names of FastOpp 0.4.8 that the code of an adopted project uses, on today's framework.

`fastopp adopt` rewrites imports to these modules. New code does not need them.
"""
