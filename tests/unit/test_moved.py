"""Modules under the names that they had before."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

from fastopp._moved import _MEMBERS, _MOVED, _SPLIT, new_name

PROJECT = """
from fastopp.apps import NavItem
from fastopp.auth.current_user import OptionalUser
from fastopp.auth.models import User
from fastopp.dependencies import SessionDep
from fastopp.platform import LEAPCELL_PORT, detect_platform
from fastopp.features.accounts.models import User as same

assert User is same
"""


@pytest.mark.parametrize("old", _MOVED)
def test_each_old_name_leads_to_a_module(old: str) -> None:
    new = new_name(f"fastopp.{old}")
    assert new == f"fastopp.{_MOVED[old]}"
    assert importlib.util.find_spec(new)
    assert not new_name(new), "it would be found in a circle"


def test_it_is_the_same_module_and_a_warning_names_the_new_one() -> None:
    sys.modules.pop("fastopp.garbage", None)
    with pytest.warns(DeprecationWarning, match=r"fastopp\.garbage is fastopp\.core\.garbage now"):
        old = importlib.import_module("fastopp.garbage")
    assert old is importlib.import_module("fastopp.core.garbage")


def test_the_emulator_is_a_package_elsewhere() -> None:
    sys.modules.pop("fastopp.emulator.rules", None)
    with pytest.warns(DeprecationWarning, match=r"fastopp\.emulator") as warned:
        old = importlib.import_module("fastopp.emulator.rules")
    assert str(warned[-1].message) == "fastopp.emulator.rules is leapcell_emulator.rules now."
    assert old is importlib.import_module("leapcell_emulator.rules")


def test_an_emulator_that_is_not_installed_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['leapcell_emulator'] = None; import fastopp.emulator.rules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    message = 'fastopp.emulator is leapcell_emulator now. Install it with: pip install "fastopp[emulator]"'
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: {message}"


@pytest.mark.parametrize(
    ("old", "names"),
    [
        ("fastopp.cli.project", ["load_project", "list_apps"]),
        ("fastopp.platform", ["detect_platform", "Platform", "LOCAL", "FLY", "LEAPCELL_PORT"]),
        ("fastopp.web.csrf", ["SameSiteMiddleware", "token"]),
    ],
)
def test_the_members_of_a_module_that_was_split(old: str, names: list[str]) -> None:
    assert old in _SPLIT
    module = importlib.import_module(old)
    for name in names:
        with pytest.warns(DeprecationWarning, match=rf"{old}\.{name} is in fastopp\."):
            assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018 - asking is what is tested


@pytest.mark.parametrize("old", _MEMBERS)
def test_members_that_moved(old: str) -> None:
    module = importlib.import_module(old)
    for name, new in _MEMBERS[old].items():
        place, _, attribute = new.rpartition(".")
        with pytest.warns(DeprecationWarning, match=rf"{old}\.{name} is {new} now"):
            assert getattr(module, name) is getattr(importlib.import_module(place), attribute)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018 - asking is what is tested


def test_a_library_of_the_same_name_is_not_ours() -> None:
    code = "import fastopp, platform; print(platform.system())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Linux\n"), done.stderr


def test_other_names_are_not_touched() -> None:
    for name in ("fastopp", "fastopp.clock", "fastopp.storage.images", "fastopp.settings", "elsewhere.auth"):
        assert new_name(name) is None
    with pytest.raises(ModuleNotFoundError, match=r"fastopp\.nothing"):
        importlib.import_module("fastopp.nothing")


def test_a_project_that_uses_the_old_names() -> None:
    done = subprocess.run([sys.executable, "-c", PROJECT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
