"""An app is found by convention, and what is wrong with one is said."""

from __future__ import annotations

import sys

import pytest

from fastopp.core.apps import AppError, NavItem, find_apps


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write packages into a folder of the import path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, **files: str) -> str:
        folder = tmp_path.joinpath(*name.split("."))
        for file, text in {"__init__": "", **files}.items():
            path = folder / f"{file}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return name

    yield write
    for module in [m for m in sys.modules if m.split(".")[0].startswith("apptest")]:
        del sys.modules[module]


def test_everything_is_optional(package):
    (app,) = find_apps([package("apptest_bare")])
    app.load_models()
    assert app.name == "apptest_bare"
    assert (app.router(), app.admin_views(), app.seed_steps(), app.navigation()) == (None, [], [], [])
    assert (app.templates_dir, app.static_dir) == (None, None)


def test_parts_are_found_by_their_file_names(package, tmp_path):
    name = package(
        "apptest_full",
        __init__="from fastopp.core.apps import NavItem\nNAVIGATION = [NavItem('Shop', '/shop')]",
        routes="from fastapi import APIRouter\nrouter = APIRouter()",
        seed="from fastopp.core.apps import SeedStep\nSTEPS = [SeedStep('one', 'One', None)]",
    )
    (tmp_path / name / "templates").mkdir()
    (app,) = find_apps([name])
    assert app.router() is not None
    assert app.navigation() == [NavItem("Shop", "/shop")]
    assert [step.name for step in app.seed_steps()] == ["one"]
    assert app.templates_dir == tmp_path / name / "templates"


def test_finding_imports_nothing_of_an_app(package):
    name = package("apptest_lazy", routes="raise RuntimeError('imported')")
    (app,) = find_apps([name])
    with pytest.raises(RuntimeError, match="imported"):
        app.router()


def test_a_missing_app_is_named():
    with pytest.raises(AppError, match="startapp nothere"):
        find_apps(["nothere"])
    with pytest.raises(AppError, match=r"no app 'nothere\.deeper'"):
        find_apps(["nothere.deeper"])


def test_two_apps_of_one_name(package):
    package("apptest_a")
    package("apptest_b")
    names = [package("apptest_a.shop"), package("apptest_b.shop")]
    with pytest.raises(AppError, match=r"apptest_a\.shop and apptest_b\.shop"):
        find_apps(names)


def test_routes_without_a_router(package):
    (app,) = find_apps([package("apptest_norouter", routes="x = 1")])
    with pytest.raises(AppError, match="has no `router`"):
        app.router()


def test_an_import_error_inside_an_app_is_not_hidden(package):
    (app,) = find_apps([package("apptest_broken", routes="import nothere_at_all")])
    with pytest.raises(ModuleNotFoundError, match="nothere_at_all"):
        app.router()
