"""LeapCell on your own machine: its documented and observed rules, enforced on any project."""

__version__ = "0.5.0"
