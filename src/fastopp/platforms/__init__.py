"""The platforms of projects. To add one, add a module here with its `Platform`, and list that in `detection.py`."""
