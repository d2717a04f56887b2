"""Where a project runs. To add a platform, add a module here with its `Platform`, and name it in `detection.py`."""
