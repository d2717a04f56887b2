"""Modules under the names that they had before."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

from fastopp._moved import _MOVED, new_name

PROJECT = """
from fastopp.apps import NavItem
from fastopp.auth.current_user import OptionalUser
from fastopp.auth.models import User
from fastopp.dependencies import SessionDep
from fastopp.platform import detect_platform
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


def test_other_names_are_not_touched() -> None:
    for name in ("fastopp", "fastopp.clock", "fastopp.storage.images", "fastopp.settings", "elsewhere.auth"):
        assert new_name(name) is None
    with pytest.raises(ModuleNotFoundError, match=r"fastopp\.nothing"):
        importlib.import_module("fastopp.nothing")


def test_a_project_that_uses_the_old_names() -> None:
    done = subprocess.run([sys.executable, "-c", PROJECT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
