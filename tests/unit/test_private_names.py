"""`tests.private_names`: each name exists, and each private name that is used is listed."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.private_names import PRIVATE_NAMES, PrivateName

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "src/fastopp", ROOT / "packages/leapcell-emulator/src/leapcell_emulator")
DOCUMENTED = {"_asdict", "_exit", "_replace"}  # of named tuples and `os`: public in spite of the underscore
ACCESSORS = {"delattr", "getattr", "hasattr", "setattr"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_" and name not in DOCUMENTED


def stored_on_self(tree: ast.AST) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_name(node.value, "self")
    }


def is_name(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


@cache
def names_of(kind: type) -> set[str]:
    """The attributes that a class defines, those that its methods set on `self` included."""
    names = {*vars(kind), *vars(kind).get("__annotations__", {})}
    try:
        return names | stored_on_self(ast.parse(textwrap.dedent(inspect.getsource(kind))))
    except (OSError, TypeError):  # it is not written in Python
        return names


def is_third_party(kind: type) -> bool:
    return kind.__module__.partition(".")[0] not in {"fastopp", "leapcell_emulator", *sys.stdlib_module_names}


def exists(private: PrivateName) -> bool:
    module, _, attribute = private.owner.partition(":")
    owner = importlib.import_module(module)
    if not attribute:
        return hasattr(owner, private.name)
    return any(private.name in names_of(kind) for kind in getattr(owner, attribute).__mro__)


@pytest.mark.parametrize("private", PRIVATE_NAMES, ids=lambda private: f"{private.owner}.{private.name}")
def test_the_name_still_exists(private: PrivateName) -> None:
    assert exists(private), (
        f"{private.owner} has no {private.name} any more. {private.used_in} uses it: {private.why}. "
        f"Change that module, then the bound of {private.library} in pyproject.toml."
    )


def test_a_name_that_is_gone_is_noticed() -> None:
    for owner in ("fastapi", "sqlalchemy.pool.impl:QueuePool", "asyncpg.connection:Connection"):
        assert not exists(PrivateName(owner, "_gone", "", ""))


@pytest.mark.parametrize("library", sorted({private.library for private in PRIVATE_NAMES}))
def test_a_library_with_private_names_in_use_has_an_upper_bound(library: str) -> None:
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (requirement,) = [each for each in requirements if re.split(r"[\[<>=]", each)[0] == library]
    assert "<" in requirement


def own_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The names that a module defines, or sets on its objects."""
    for node in nodes:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                yield name


def used_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The private names that a module imports or takes from an object."""
    for node in nodes:
        match node:
            case ast.Import(names=aliases):
                yield from (part for alias in aliases for part in alias.name.split("."))
            case ast.ImportFrom(module=module, names=aliases):
                if not (module or "").startswith(("fastopp", "leapcell_emulator")):
                    yield from (module or "").split(".")
                    yield from (alias.name for alias in aliases)
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name):
                yield f"super.{name}"  # somebody else's, whatever this module defines
            case ast.Attribute(attr=name):
                yield name
            case ast.Call(func=ast.Name(id=function), args=[_, ast.Constant(value=str(name)), *_]):
                if function in ACCESSORS:
                    yield name


def names_shared_with_bases(module: str, tree: ast.Module) -> Iterator[str]:
    """The private names in classes that a class of a library, from which they inherit, has too."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or not node.bases:
            continue
        mentioned = {
            *(part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)),
            *(part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)),
            *(
                part.attr
                for part in ast.walk(node)
                if isinstance(part, ast.Attribute) and is_name(part.value, "self", "cls")
            ),
        }
        private = set(filter(is_private, mentioned))
        if private:
            kind = getattr(importlib.import_module(module), node.name)
            for base in filter(is_third_party, kind.__mro__[1:]):
                yield from private & names_of(base)


def test_every_private_name_in_use_is_listed() -> None:
    found = set()
    for source, file in ((folder, file) for folder in SOURCES for file in folder.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        place = file.relative_to(source).as_posix()
        module = ".".join(file.relative_to(source.parent).with_suffix("").parts).removesuffix(".__init__")
        nodes = list(ast.walk(tree))
        own = set(own_names(nodes))
        used = {name.removeprefix("super.") for name in used_names(nodes) if name not in own}
        found |= {(place, name) for name in used if is_private(name)}
        found |= {(place, name) for name in names_shared_with_bases(module, tree)}
    listed = {(private.used_in, private.name) for private in PRIVATE_NAMES}
    assert found - listed == set(), "Use a public API instead, or add it to tests/private_names.py."
    assert listed - found == set(), "Delete it from tests/private_names.py: nothing uses it any more."
