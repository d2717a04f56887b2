"""Traces and figures for a collector, by OTLP over HTTP; the extra `fastopp[otlp]`."""
