"""The project's own code is carried, with what it needs of FastOpp's, and nothing else."""

from __future__ import annotations

import pytest

from fastopp.cli.adopt.models import find_tables
from fastopp.cli.adopt.old_project import OldProject
from fastopp.cli.adopt.python import Rewriter
from fastopp.cli.adopt.reach import Kept, own_code
from fastopp.cli.adopt.report import Report
from fastopp.cli.adopt.routes import MAIN, is_handler
from tests.services.old_project import known, make_old_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> OldProject:
    folder = tmp_path_factory.mktemp("reach")
    return OldProject(make_old_project(folder / "shop"), known(folder / "frameworks"))


@pytest.fixture
def kept(project: OldProject) -> Kept:
    return own_code(project, lambda module, statement: module.name != MAIN or is_handler(statement))


def test_modules(kept: Kept) -> None:
    assert set(kept) == {
        "main", "routes.pages", "routes.shop", "services.catalogue", "services.order_service", "admin.views",
        "scripts.close_orders",
    }  # fmt: skip


def test_a_module_of_fastopp_is_carried_in_part(project: OldProject, kept: Kept) -> None:
    rewriter = Rewriter(project, "shop", Report())
    catalogue = rewriter.rewrite(project.modules["services.catalogue"], kept["services.catalogue"])
    assert "async def count_products" in catalogue
    assert "never_used" not in catalogue
    pages = rewriter.rewrite(project.modules["routes.pages"], kept["routes.pages"])
    assert "async def contact" in pages
    assert "async def home" not in pages


def test_comments_stay_and_imports_change(project: OldProject, kept: Kept) -> None:
    rewriter = Rewriter(project, "shop", Report())
    shop = rewriter.rewrite(project.modules["routes.shop"], kept["routes.shop"])
    assert "    rows = [  # newest are marked\n" in shop
    assert "from fastopp.features.adopted.sessions import get_db_session\n" in shop
    assert "from shop.services.order_service import toggle_order\n" in shop
    assert 'Jinja2Templates("shop")' in shop


def test_own_columns(project: OldProject) -> None:
    tables = find_tables(project)
    assert tables.columns == {"User": ["phone", "newsletter", "last_seen"]}
    assert tables.with_demo


@pytest.mark.parametrize(
    "text", ["from . import shop\n", "from .shop import router as r\n", "from routes.shop import router\n"]
)
def test_relative_imports(project: OldProject, text: str) -> None:
    from dataclasses import replace

    from fastopp.cli.adopt.edits import Source

    module = replace(project.modules["routes.pages"], source=Source(text))
    result = Rewriter(project, "shop", Report()).rewrite(module)
    assert result.startswith("from shop.routes")
    assert result.split(" import ")[1] == text.split(" import ")[1]
