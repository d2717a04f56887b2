"""A plain Flask application that knows nothing of FastOpp."""

from pathlib import Path

from flask import Flask

app = Flask(__name__)


@app.get("/")
def home() -> str:
    return "Flask"


@app.post("/notes")
def keep_a_note() -> str:
    Path("notes.txt").write_text("kept\n")
    return "kept"
