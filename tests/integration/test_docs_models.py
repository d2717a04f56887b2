"""docs/models.md as it is written: its models are migrated, and its queries run. So do copies of the demo's models."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.services import forks
from tests.services.databases import url_on
from tests.services.migrations import copy_migrations, migrated

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/models.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

url = url_on("sqlite", "psycopg", fill=migrated)

# Another process, since models that are imported once are everywhere in it.
MAKE_AND_RUN = """
import asyncio, sys
from pathlib import Path
from fastopp.console.project import load_project
from fastopp.core.runtime import open_runtime
from fastopp.database.migrations import migrate
from fastopp.features.shell.console import project_names, run_source

async def main():
    project = load_project()
    made = await migrate.make_migration(project.settings, "own")
    await migrate.upgrade(project.settings)
    found = await migrate.check(project.settings)
    assert made.path and not found.differences and not found.unseen, found
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.transaction() as session:
        if len(sys.argv) > 1:
            import library.models
            names = vars(library.models) | project_names(runtime, session)
            await run_source(Path(sys.argv[1]).read_text(), sys.argv[1], names)

asyncio.run(main())
"""


@pytest.fixture
def project(tmp_path, url):
    copy_migrations(tmp_path)
    (tmp_path / "library").mkdir()
    (tmp_path / "library/__init__.py").write_text("")

    def run(models, script=""):
        (tmp_path / "main.py").write_text(
            "from fastopp import FastOpp\napp = FastOpp(apps=['library', 'demo.products', 'demo.webinars'])\n"
        )
        (tmp_path / "library/models.py").write_text(models)
        (tmp_path / "queries.py").write_text(script)
        words = ["-W", "error", "-c", MAKE_AND_RUN, *(["queries.py"] if script else [])]
        environ = {"DATABASE_URL": url, "PATH": "", "PYTHONPATH": str(ROOT)}
        done = forks.run(words, cwd=tmp_path, text=True, env=environ)
        assert done.returncode == 0, done.stderr

    return run


def test_the_page_runs(project):
    models, *queries = BLOCKS
    assert len(queries) == 4
    project(models, "\n".join(queries))


def test_the_demos_models_can_be_copied(project):
    """Both stay, and the copies may refer to each other."""
    texts = [(ROOT / f"demo/{name}/models.py").read_text() for name in ("products", "webinars")]
    copied = "\n".join(texts).replace('__tablename__ = "', '__tablename__ = "library_').replace('"ix_', '"ix_library_')
    for name in ("Product", "WebinarRegistrant"):
        copied = copied.replace(f"class {name}(", f"class Own{name}(")
    relation = (
        "\nfrom sqlmodel import Relationship\nclass Order(SQLModel, table=True):\n"
        "    __tablename__ = 'library_orders'\n    id: int | None = Field(default=None, primary_key=True)\n"
        "    product_id: uuid.UUID = Field(foreign_key='library_products.id')\n"
        "    product: OwnProduct = Relationship()\n"
    )
    project(copied + relation)
