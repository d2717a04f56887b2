"""The platforms of projects. To add one, add a module here with its `Platform`, and name it in `detection.py`."""
