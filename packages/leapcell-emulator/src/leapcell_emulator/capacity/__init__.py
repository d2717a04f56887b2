"""How far a project goes: its site as a discrete-event simulation, and what breaks first under which load."""
