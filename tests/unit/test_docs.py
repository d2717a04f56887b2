"""The docs say what is there: every setting, command and route; and what they name exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi.routing import iter_route_contexts
from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.routing import Mount

from fastopp.checks.catalogue import all_checks
from fastopp.console.main_file import list_apps
from fastopp.core.app_settings import app_settings
from fastopp.core.apps import find_apps
from fastopp.core.assembly import assemble
from fastopp.settings import AppSettings, load_settings
from fastopp.settings.reference import variables

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted(set(ROOT.glob("*.md")) - {README}), *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("src", "demo", "alembic", "docs", "script", "tests", "frontend", "benchmarks", "packages")

# What a dependency of a route demands, in the words of docs/routes.md.
DEMANDS = {
    "operator": "operator",
    "_detached_operator": "operator",
    "_woken_or_operator": "operator",
    "superuser": "superuser",
    "_detached_superuser": "superuser",
    "current_user": "signed in",
    "present_user": "browser",
    "_detached_user": "browser",
    "_fresh_user": "fresh sign-in",
    "_detached_fresh_user": "fresh sign-in",
    "staff_user": "staff",
    "_detached_staff_user": "staff",
    "require_granted": "emergency",
    "may_chat": "everyone, or staff",
}

markdown = MarkdownIt("commonmark").enable("table")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def blocks(page: Path) -> list[Token]:
    """The blocks of a page, read once for all tests."""
    return markdown.parse(read(page))


def tokens(page: Path) -> Iterator[Token]:
    """All of a page, what is inside paragraphs and tables too."""
    for token in blocks(page):
        yield token
        yield from token.children or ()


def fences(page: Path, language: str) -> Iterator[Token]:
    return (token for token in tokens(page) if token.type == "fence" and token.info.strip() == language)


@cache
def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    block = blocks(page)
    headings = [block[i + 1].content for i, token in enumerate(block) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def each_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """script/docs, which is no module by its name."""
    loader = SourceFileLoader("script_docs", str(ROOT / "script/docs"))
    spec = spec_from_loader("script_docs", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def every_command(generator: ModuleType) -> list[str]:
    return [name for program in generator.PROGRAMS for name, _ in generator.commands(program)]


def test_what_is_generated_is_up_to_date(generator: ModuleType) -> None:
    for path, content in generator.generated().items():
        assert read(path) == content, f"{path.name} is out of date: run .venv/bin/python script/docs"


def kinds() -> list[type[AppSettings]]:
    """The settings classes of the demo's apps."""
    return app_settings(find_apps(list_apps(ROOT / "main.py")))


def test_every_setting_is_documented() -> None:
    page = read(ROOT / "docs/settings.md")
    assert [variable.name for variable in variables(kinds()) if f"| `{variable.name}` |" not in page] == []


def test_every_variable_that_the_docs_name_exists() -> None:
    """Upper case words in code that end like settings do."""
    # Those that are no setting: other names of DATABASE_URL and its parts, and names of the emulator's services.
    others = {"DATABASE_DSN", "DB_HOST", "LEAPCELL_URL", "PUBLIC_URL", "REDIS_URL", "S3_HOST", "S3_PORT"}
    known = {variable.name for variable in variables(kinds())} | others
    looks_like = re.compile(
        r"^(?:S3|DB|OPENROUTER|SUPERUSER|LEAPCELL|FASTOPP|FLY)_[A-Z_]+$|^[A-Z]+_(?:KEY|URL|TOKEN|DIR)$"
    )
    for page in PAGES:
        named = {token.content.partition("=")[0] for token in tokens(page) if token.type == "code_inline"}
        assert {name for name in named if looks_like.fullmatch(name)} <= known, page.name


def test_every_command_is_documented(every_command: list[str]) -> None:
    page = read(ROOT / "docs/commands.md")
    assert len(every_command) > 50
    assert [name for name in every_command if not re.search(rf"\| `{re.escape(name)}[` ]", page)] == []


@each_page()
def test_every_command_that_the_docs_name_exists(page: Path, every_command: list[str]) -> None:
    text = "\n".join(token.content for token in tokens(page) if token.type in ("code_inline", "fence"))
    named = set(re.findall(r"\b(opp(?:man|demo)\.py(?: migrate)? [a-z]\w*)", text))
    named |= set(re.findall(r"^(fastopp [a-z]\w*)", text, re.MULTILINE))
    assert named - {"oppman.py shop"} <= set(every_command)  # the app of the examples


def documented_routes() -> dict[tuple[str, str], str]:
    """Method and path of each row of docs/routes.md, and who may use it."""
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| ([^|]+) \|", read(ROOT / "docs/routes.md"), re.MULTILINE)
    found = {(method, path): who.strip() for method, path, who in rows}
    assert len(found) == len(rows), "A route is listed twice."
    return found


def actual_routes() -> dict[tuple[str, str], str]:
    """Method and path of each route of this project, emergency access included, and who may use it."""
    settings = load_settings({"EMERGENCY_ACCESS_ENABLED": "true"}, env_file=Path("/nonexistent"))
    application, _ = assemble(settings, find_apps(list_apps(ROOT / "main.py")))
    application.openapi()  # brings in the routes that wait for their first visitor
    found = {}
    for route in iter_route_contexts(application.routes):
        if isinstance(route.original_route, Mount):
            continue
        for method in set(route.methods or ()) - {"HEAD"}:
            found[method, route.path] = who_may(route.original_route)
    return found


def who_may(route: Any) -> str:
    demanded = {DEMANDS[name] for name in dependencies(getattr(route, "dependant", None)) if name in DEMANDS}
    # An operator is asked for through nothing else; a superuser is asked whether he is signed in, and so on.
    strength = (
        "operator",
        "superuser",
        "staff",
        "fresh sign-in",
        "browser",
        "signed in",
        "emergency",
        "everyone, or staff",
    )
    return next((word for word in strength if word in demanded), "everyone")


def dependencies(dependant: Any) -> Iterator[str]:
    if dependant is None:
        return
    yield getattr(dependant.call, "__name__", "")
    for below in dependant.dependencies:
        yield from dependencies(below)


def test_every_route_is_documented_with_who_may_use_it() -> None:
    assert documented_routes() == actual_routes()


@each_page()
def test_links_lead_somewhere(page: Path) -> None:
    for token in tokens(page):
        target = str(token.attrs.get("href") or token.attrs.get("src") or "")
        if not target or re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        found = page.parent / path if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@each_page()
def test_files_that_a_page_names_exist(page: Path) -> None:
    for token in tokens(page):
        if token.type != "code_inline":
            continue
        name = token.content.removeprefix("./")
        if re.fullmatch(rf"(?:{'|'.join(FOLDERS)})/[\w./-]+", name):
            assert (ROOT / name).exists(), name


@each_page()
def test_python_blocks_compile(page: Path) -> None:
    for block in fences(page, "python"):
        line = block.map[0] + 1 if block.map else 0
        compile(block.content, f"{page.name}:{line}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@each_page()
def test_python_blocks_import_what_there_is(page: Path) -> None:
    blocks = list(fences(page, "python"))
    # Apps that the page itself writes, whose commands another test runs.
    written = {found[1] for block in blocks if (found := re.match(r"# (\w+)/\w+\.py\n", block.content))}
    for block in blocks:
        for node in ast.walk(ast.parse(block.content)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] not in written:
                module = import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name) or import_module(f"{node.module}.{alias.name}")


@each_page()
def test_every_block_has_a_language(page: Path) -> None:
    languages = {token.info.strip() for token in tokens(page) if token.type in ("fence", "code_block")}
    assert languages <= {"sh", "console", "python", "html", "css", "text"}


@each_page()
def test_a_page_begins_with_what_it_is_for(page: Path) -> None:
    block = blocks(page)
    assert [token.type for token in block[:4]] == ["heading_open", "inline", "heading_close", "paragraph_open"]
    assert block[0].tag == "h1"


def test_pictures_are_small_and_shown_somewhere() -> None:
    pictures = [path for path in (ROOT / "docs/images").iterdir() if path.suffix in (".png", ".webp")]
    shown = {Path(str(token.attrs["src"])).name for page in PAGES for token in tokens(page) if token.type == "image"}
    assert {path.name for path in pictures} == shown
    assert [path.name for path in pictures if path.stat().st_size >= 200 * 1024] == []


def test_the_readme_leads_to_every_guide() -> None:
    readme = read(README)
    assert [page.name for page in PAGES[1:] if str(page.relative_to(ROOT)) not in readme] == []


def test_every_check_that_the_docs_name_exists() -> None:
    known = {check.id for check in all_checks()}
    for page in PAGES:
        named = set(re.findall(r"`(fastopp\.[EWI]\d{3})`", read(page)))
        assert named <= known | {"fastopp.W999"}, page.name  # that one is an example


def test_every_error_text_has_a_cause_and_a_fix() -> None:
    rows = [row for row in read(ROOT / "docs/troubleshooting.md").splitlines() if row.startswith("| ")]
    assert len(rows) > 40
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4, row
        assert all(cells[:3]), row


def test_the_table_of_features_has_each_folder() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = text[text.index("| Folder of `features/` |") : text.index("The larger folders below them")]
    named = re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE)
    assert named == sorted(path.parent.name for path in (ROOT / "src/fastopp/features").glob("*/__init__.py"))
