"""FastOpp: a Django-like stack on FastAPI that runs unchanged locally, on Fly.io and on LeapCell."""

from fastopp.application import FastOpp

__version__ = "0.5.0"

__all__ = ["FastOpp", "__version__"]
