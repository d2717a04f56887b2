"""LeapCell on your own machine: its documented and observed rules, enforced on any project."""
