"""An app is found by convention, and what is wrong with one is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fastopp.checks.catalogue import checks_of
from fastopp.core.app_settings import app_settings
from fastopp.core.application import FastOpp
from fastopp.core.apps import AppError, BrokenPart, NavItem, find_apps
from fastopp.settings import load_settings


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
    with pytest.raises(BrokenPart, match=r"routes\.py, line 1: RuntimeError: imported"):
        app.router()


def test_a_missing_app_is_named():
    with pytest.raises(AppError, match="startapp nothere"):
        find_apps(["nothere"])
    with pytest.raises(AppError, match=r"no app 'nothere\.deeper'"):
        find_apps(["nothere.deeper"])


@pytest.mark.parametrize("text", ["import nothere_at_all", "1 / 0", "def f("])
def test_a_parent_package_that_cannot_be_imported(package, text):
    package("apptest_parent", __init__=text)
    package("apptest_parent.shop")
    with pytest.raises(BrokenPart, match=r"apptest_parent|nothere_at_all"):
        find_apps(["apptest_parent.shop"])


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
    with pytest.raises(BrokenPart, match=r"apptest_broken/routes\.py, line 1: ModuleNotFoundError: .*nothere_at_all"):
        app.router()


def test_the_settings_of_apps(package):
    text = "from fastopp import AppSettings\nclass Own(AppSettings):\n    {}: str = ''"
    shop = package("apptest_settings", settings=text.format("shop_name"))
    found = app_settings(find_apps([shop, package("apptest_without")]))
    assert [kind.__name__ for kind in found if kind.__module__.startswith("apptest")] == ["Own"]
    other = package("apptest_settings_other", settings=text.format("shop_name"))
    with pytest.raises(AppError, match="SHOP_NAME, which is one of the app apptest_settings"):
        app_settings(find_apps([shop, other]))
    ours = package("apptest_settings_ours", settings=text.format("port"))
    with pytest.raises(AppError, match="declares the setting PORT, which is one of FastOpp"):
        app_settings(find_apps([ours]))
    empty = package("apptest_settings_empty", settings="from fastopp import AppSettings")
    with pytest.raises(BrokenPart, match="defines no class derived from AppSettings"):
        app_settings(find_apps([empty]))


def test_mistakes_in_the_settings_of_an_app_end_the_start(package, capsys):
    name = package(
        "apptest_start", settings="from fastopp import AppSettings\nclass Own(AppSettings):\n    shop_name: str"
    )
    settings = load_settings({}, env_file=Path("/nonexistent"))
    with pytest.raises(SystemExit) as ended:
        FastOpp([name], settings=settings)
    assert ended.value.code == 2
    assert "SHOP_NAME: Not set." in capsys.readouterr().err
    broken = package("apptest_start_broken", settings="from fastopp import AppSettings\nAppSettings.nothing")
    with pytest.raises(SystemExit):
        FastOpp([broken], settings=settings)
    assert "apptest_start_broken/settings.py, line 2: AttributeError" in capsys.readouterr().err


def test_the_checks_of_an_app_may_have_two_modules(package):
    text = "from fastopp import check\n@check('{}.W00{}', 'Odd', fix='Even.')\ndef odd(context):\n    yield\n"
    both = package("apptest_live", checks=text.format("apptest_live", 1), live_checks=text.format("apptest_live", 2))
    assert [each.id for each in checks_of(find_apps([both])[0])] == ["apptest_live.W001", "apptest_live.W002"]
    same = package("apptest_same", checks=text.format("apptest_same", 1), live_checks=text.format("apptest_same", 1))
    with pytest.raises(
        BrokenPart, match=r"apptest_same/live_checks.py, line 2: the id 'apptest_same.W001' is used twice"
    ):
        checks_of(find_apps([same])[0])
