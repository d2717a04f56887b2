"""The capacity of a project: its site as a discrete-event simulation, and what breaks first under which load."""
