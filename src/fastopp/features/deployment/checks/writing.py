"""A check for code that writes where nothing can be written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from fastopp.checks.check import Problem, Scope, Subject, check
from fastopp.checks.context import CheckContext

WRITERS: Final = ("write_text", "write_bytes", "mkdir", "touch")  # of a Path
NO_FILES: Final = ("/dev/null", "/dev/std")


@check(
    "fastopp.W343",
    "A file is written outside /tmp",
    fix="Keep data in the database or the storage (StorageDep), and temporary files in tempfile.TemporaryDirectory().",
    subject=Subject.SOURCE,
    scope=Scope.DEPLOYMENT,
)
def writes(context: CheckContext) -> Iterator[Problem]:
    """On a read-only disk it fails with "Read-only file system". Only writes to a literal file name in main.py and the
    apps are found, to avoid false positives."""
    if context.platform.writable_root:
        return
    writable = (f"{context.platform.writable_folder}/", *NO_FILES)
    for file in context.sources:
        for call in file.calls():
            path = _written(call)
            if path is not None and not path.startswith(writable):
                yield Problem(f"{file.path}:{call.lineno} writes {path!r}.")


def _written(call: ast.Call) -> str | None:
    """The literal name of the file that a call writes."""
    function = call.func
    if isinstance(function, ast.Name) and function.id == "open":
        return _text(call.args[0]) if call.args and _opens_for_writing(call) else None
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Call):
        return None
    made = function.value
    is_path = isinstance(made.func, ast.Name) and made.func.id == "Path" and len(made.args) == 1
    if not is_path or not (function.attr in WRITERS or (function.attr == "open" and _opens_for_writing(call, first=0))):
        return None
    return _text(made.args[0])


def _opens_for_writing(call: ast.Call, *, first: int = 1) -> bool:
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "mode"), None)
    if given is None and len(call.args) > first:
        given = call.args[first]
    mode = _text(given)
    return mode is not None and any(letter in mode for letter in "wax+")


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
