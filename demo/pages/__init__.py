"""The home page of the demo, and the licence."""
