"""The cost of a project a month: what its traffic uses, and the bill for it on each platform."""
