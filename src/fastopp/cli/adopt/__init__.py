"""`fastopp adopt`: write today's form of a FastOpp 0.4.8 project beside it.

known.py      which code is FastOpp 0.4.8's, and which is the project's
reach.py      the project's code, and what it needs
edits.py      changes of source text that leave the rest as it is
python.py     imports, times and sessions in Python code
models.py routes.py admin.py commands.py    one part of the new app each
pages.py      templates
data.py       settings, database and uploads
migrating.py  the migration of the project's own tables
report.py     the steps taken, and the work left
project.py    all of it, in order
"""
