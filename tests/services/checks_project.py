"""Projects and settings for the tests of checks: good ones, to be spoiled in one place."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastopp.checks.catalogue import all_checks
from fastopp.checks.check import Finding
from fastopp.checks.context import CheckContext
from fastopp.checks.requirement_lines import install_line
from fastopp.core.apps import App
from fastopp.features.leapcell.init import MANIFEST

NOWHERE = Path("/nonexistent/.env")
KEY = "mK3vX9qLw2TnZ8rBf5YhJ7dPc4sGa6Ue0RtVxNyWk1M"
GOOD = {
    "FASTOPP_PLATFORM": "leapcell",
    "SECRET_KEY": KEY,
    "OPS_TOKEN": "Vq2xT9mL4kWz7RbN5cHd8JfY",
    "DATABASE_URL": "postgresql://u:p@9x.leapcellpool.com:6438/d?sslmode=require",
    "S3_ACCESS_KEY": "access",
    "S3_SECRET_KEY": "secret",
    "S3_BUCKET": "bucket",
    "S3_CDN_URL": "https://x.leapcellobj.com/bucket",
    "LEAPCELL_ASYNC_URL": "https://x.leapcell-async.dev",
}
LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11, <3.13"

[[package]]
name = "shop"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "tomato" },
    { name = "pepper", extra = ["hot"] },
    { name = "winter", marker = "sys_platform == 'win32'" },
    { name = "older", marker = "python_full_version < '3.12'" },
]

[package.dev-dependencies]
test = [{ name = "tester" }]

[[package]]
name = "tomato"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
sdist = { url = "https://files.example/a/tomato-1.0.tar.gz", hash = "sha256:70b0" }
wheels = [{ url = "https://files.example/a/tomato-1.0-py3-none-any.whl", hash = "sha256:70a0" }]

[[package]]
name = "pepper"
version = "2.0"
source = { registry = "https://pypi.org/simple" }
wheels = [
    { url = "https://f/pepper-2.0-cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", hash = "sha256:9e86" },
    { url = "https://f/pepper-2.0-cp311-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", hash = "sha256:9ea6" },
]

[package.optional-dependencies]
hot = [{ name = "chili" }]

[[package]]
name = "chili"
version = "3.0"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://files.example/a/chili-3.0-py3-none-any.whl", hash = "sha256:c411" }]

[[package]]
name = "winter"
version = "4.0"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "older"
version = "5.0"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://files.example/a/older-5.0-py3-none-any.whl", hash = "sha256:01de" }]

[[package]]
name = "tester"
version = "6.0"
source = { registry = "https://pypi.org/simple" }
"""
REQUIREMENTS = """\
chili==3.0 \\
    --hash=sha256:c411
older==5.0 ; python_version == "3.11" \\
    --hash=sha256:01de
pepper==2.0 \\
    --hash=sha256:9e86 \\
    --hash=sha256:9ea6
tomato==1.0 \\
    --hash=sha256:70a0 \\
    --hash=sha256:70b0
"""


def make_project(folder: Path, *, shop: str = "") -> Path:
    """A project without a mistake: the files that checks look at. `shop` is the code of its one app's routes.py."""
    (folder / "shop").mkdir(parents=True)
    (folder / "shop/__init__.py").write_text("")
    (folder / "shop/routes.py").write_text(shop)
    (folder / "main.py").write_text('from fastopp.core.application import FastOpp\napp = FastOpp(apps=["shop"])\n')
    (folder / "oppman.py").write_text("")
    (folder / "leapcell.yaml").write_text(MANIFEST.format(install=install_line(both=False), port=8080, memory=512))
    (folder / "uv.lock").write_text(LOCK)
    (folder / "requirements.txt").write_text(REQUIREMENTS)
    return folder


def context(folder: Path, *, drop: tuple[str, ...] = (), **changes: str) -> CheckContext:
    """The project with good settings for LeapCell, changed."""
    environ = {name: value for name, value in (GOOD | changes).items() if name not in drop}
    return CheckContext.read(folder, environ=environ, env_file=NOWHERE, load_apps=lambda: _apps(folder))


def local(folder: Path, **environ: str) -> CheckContext:
    """The project on a developer's machine."""
    return CheckContext.read(folder, environ=environ, env_file=NOWHERE, load_apps=lambda: _apps(folder))


def _apps(folder: Path) -> tuple[App, ...]:
    return (App("shop", folder / "shop"),)


def run(number: str, looked_at: CheckContext) -> list[Finding]:
    """What one check finds."""
    return asyncio.run(run_async(number, looked_at))


async def run_async(number: str, looked_at: CheckContext) -> list[Finding]:
    """The same where a loop runs."""
    (found,) = [each for each in all_checks() if each.id == f"fastopp.{number}"]
    return await found.run(looked_at)
