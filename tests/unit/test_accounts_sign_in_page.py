from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastopp.core.apps import App, BrokenPart
from fastopp.features.accounts.sign_in_page import SignInOption, find_sign_in_options
from fastopp.settings import Settings, load_settings

OPTIONS = """
from fastopp import SignInOption
def sign_in_options(settings):
    offered = [SignInOption("Sign in with a badge", "/badge", "button"), SignInOption("Help", "/help")]
    return offered if settings.port == 1 else []
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    folder = tmp_path / "optiontest"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "sign_in_options.py").write_text(OPTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    yield App("optiontest", folder)
    for name in [name for name in sys.modules if name.startswith("optiontest")]:
        del sys.modules[name]


def settings(**variables: str) -> Settings:
    return load_settings(variables, env_file=Path("/nonexistent"))


def test_an_app_adds_options_as_the_settings_say(app: App) -> None:
    without = find_sign_in_options([], settings())
    assert find_sign_in_options([app], settings()) == without
    found = find_sign_in_options([app], settings(PORT="1"))
    assert found["button"][len(without["button"]) :] == [SignInOption("Sign in with a badge", "/badge", "button")]
    assert found["link"][len(without["link"]) :] == [SignInOption("Help", "/help")]


def test_a_module_without_the_function_is_a_mistake(app: App) -> None:
    (app.folder / "sign_in_options.py").write_text("")
    with pytest.raises(BrokenPart, match="has no `sign_in_options`"):
        find_sign_in_options([app], settings())


def test_an_option_takes_the_page_to_return_to_along() -> None:
    option = SignInOption("Help", "/help")
    assert option.address("") == "/help"
    assert option.address("/shop?a=b&c") == "/help?next=%2Fshop%3Fa%3Db%26c"
