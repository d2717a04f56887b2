"""Only `platforms` and the features of platforms know a platform by name. Everything else asks a capability."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import fastopp
from fastopp.core.features import platform_features
from fastopp.platforms.detection import PLATFORMS
from fastopp.platforms.local import LOCAL

ROOT = Path(fastopp.__file__).parent
FEATURES = (f"features/{feature.name}/" for feature in platform_features())
ALLOWED = ("platforms/", *FEATURES)
TEXTS = {".py", ".html", ".css", ".js", ".yml", ".tmpl"}
OTHERS = ("railway", "heroku", "vercel")  # that a project may move to; `render` is a word

# Names that users know. Each is to be in its file as it is here.
PUBLIC = {
    "__init__.py": (
        "from fastopp.features.leapcell.migrations import migrate_leapcell",
        "from fastopp.features.leapcell.storage import LeapCellStorage",
        '"LeapCellStorage"',
        '"migrate_leapcell"',
    ),
    "_public.py": (
        '"LeapCellStorage": "fastopp.features.leapcell.storage"',
        '"migrate_leapcell": "fastopp.features.leapcell.migrations"',
    ),
    "cli/oppman.py": (
        "async def migrate_leapcell",  # oppman.py of projects imports it
        '"fastopp.features.leapcell.estimates:cost"',  # about every platform, computed by what comes with this one
        '"fastopp.features.leapcell.estimates:capacity"',
    ),
    "cli/remote_target.py": ('site.get("/debug/leapcell")',),
    "features/debug/routes.py": ('@router.get("/leapcell"', '"leapcell_recommended"'),
}
OLD_NAMES = "_moved.py"


def names() -> re.Pattern[str]:
    """Return a pattern of every platform's name, also as a part of a longer one like `fly_app_name`."""
    known = {each.name.partition("-")[0] for each in PLATFORMS.values() if each is not LOCAL}
    assert known >= {"fly", "leapcell"}
    return re.compile(rf"(?<![a-z])({'|'.join([*known, *OTHERS])})(?![a-z])|leapcell|flycast", re.IGNORECASE)


def found(folder: Path) -> Iterator[str]:
    """Find names in the code, the comments and the texts of a folder."""
    pattern = names()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix not in TEXTS or "/vendor/" in name or name == OLD_NAMES or name.startswith(ALLOWED):
            continue
        text = path.read_text(encoding="utf-8")
        for public in PUBLIC.get(name, ()):
            text = text.replace(public, "")
        yield from (f"{name}: {line.strip()}" for line in text.splitlines() if pattern.search(line))


def test_no_platform_is_known_by_name() -> None:
    assert list(found(ROOT)) == []


def test_a_name_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("# LeapCell\nfly_app = 1\nbutterfly, flying, render = RAILWAY_ENVIRONMENT, 2, 3\n")
    (tmp_path / "b.py").write_text("butterfly, flying, render = 1, 2, 3\n")
    (tmp_path / "platforms").mkdir()
    (tmp_path / "platforms/c.py").write_text("# LeapCell\n")
    assert [line.partition(":")[0] for line in found(tmp_path)] == ["a.py"] * 3


def test_every_exception_is_used() -> None:
    assert [folder for folder in ALLOWED if not (ROOT / folder).is_dir()] == []
    for name, exceptions in PUBLIC.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        assert [public for public in exceptions if public not in text] == [], name
