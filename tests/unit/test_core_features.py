"""The framework's features are found by their folders."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import fastopp.features
from fastopp.core.features import find_features


def test_a_feature_is_a_folder() -> None:
    (folder,) = map(Path, fastopp.features.__path__)
    assert [feature.folder for feature in find_features()] == sorted(
        path.parent for path in folder.glob("*/__init__.py")
    )
    assert "accounts" in {feature.name for feature in find_features()}


def test_what_a_feature_declares_is_there() -> None:
    for feature in find_features():
        package = importlib.import_module(feature.package)
        for kind in ("OPERATIONS", "PAGES"):
            for module, paths in getattr(package, kind, {}).items():
                assert importlib.util.find_spec(f"{feature.package}.{module}"), (feature.name, module)
                assert paths, (feature.name, module)
                assert all(path.startswith("/") for path in paths), (feature.name, module)
