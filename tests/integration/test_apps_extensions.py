"""Commands, checks, settings and health probes of an app, as docs/apps.md shows them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastopp.console.main_file import add_apps
from tests.services.ops_project import BEARER, running
from tests.services.site import copy_project, run_command, succeed

PAGE = Path(__file__).parents[2] / "docs/apps.md"


def example(heading: str) -> str:
    """Return the code below a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found, heading
    return found[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = copy_project(tmp_path / "project")
    folder = project / "boutique"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "commands.py").write_text(example("Commands"))
    add_apps(project / "main.py", ["boutique"])
    return project


def test_the_commands_of_an_app(project: Path) -> None:
    succeed(project, "oppdemo.py", "init")
    assert "Shop: work with the catalogue from the command line." in succeed(project, "oppman.py", "--help")
    assert "Count the products." in succeed(project, "oppman.py", "boutique", "--help")
    assert re.fullmatch(r"\d+ products\n", succeed(project, "oppman.py", "boutique", "count"))


def test_an_error_of_ours_ends_a_command_with_one_message(project: Path) -> None:
    done = run_command(project, "oppman.py", "boutique", "count", environ={"PORT": "80000"})
    assert (done.returncode, "Traceback" in done.stderr, "PORT" in done.stderr) == (1, False, True)


def test_a_name_that_the_framework_has(project: Path) -> None:
    (project / "boutique").rename(project / "files")
    main = project / "main.py"
    main.write_text(main.read_text().replace("boutique", "files"))
    assert "Object Storage" in succeed(project, "oppman.py", "files", "--help")


def test_a_mistake_in_the_commands_of_an_app(project: Path) -> None:
    commands = project / "boutique/commands.py"
    commands.write_text("app = typer.Typer(\n")
    assert "boutique" in succeed(project, "oppman.py", "--help")
    broken = run_command(project, "oppman.py", "boutique", "count")
    assert (broken.returncode, "Traceback" in broken.stderr) == (1, False)
    assert "boutique/commands.py, line 1" in broken.stderr
    commands.write_text("import typer\n")
    lacking = run_command(project, "oppman.py", "boutique", "count")
    assert (lacking.returncode, "boutique.commands has no `app`" in lacking.stderr) == (1, True)


def test_a_mistake_in_main_does_not_keep_other_commands_from_running(project: Path) -> None:
    (project / "main.py").write_text("app = FastOpp(apps=[")
    assert "runserver" in succeed(project, "oppman.py", "--help")
    done = run_command(project, "oppman.py", "boutique", "count")
    assert (done.returncode, "main.py, line 1" in done.stderr) == (1, True)
    (project / "main.py").unlink()
    assert "runserver" in succeed(project, "oppman.py", "--help")


def checked(project: Path, *words: str) -> dict[str, Any]:
    """Return the report of `oppman.py check`."""
    done = run_command(project, "oppman.py", "check", "--skip", "E121", "--json", *words)
    assert "Traceback" not in done.stderr, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def messages(report: dict[str, Any], check_id: str) -> list[str]:
    """Return the messages of one check's findings."""
    return [finding["message"] for finding in report["findings"] if finding["id"] == check_id]


def test_the_checks_of_an_app(project: Path) -> None:
    checks = project / "boutique/checks.py"
    checks.write_text(example("Checks").replace("shop.W001", "boutique.W001"))
    assert checked(project)["findings"] == [
        {
            "id": "boutique.W001",
            "level": "warning",
            "message": "There is no catalogue.csv.",
            "hint": "Export it to catalogue.csv.",
            "link": "",
        }
    ]
    (project / "catalogue.csv").touch()
    checks.write_text(checks.read_text() + "    raise KeyError('a-canary')\n")
    report = checked(project)
    assert report["findings"] == []
    (failed,) = report["unchecked"]
    assert failed["id"] == "boutique.W001"
    assert re.search(r"KeyError in .*boutique/checks\.py, line 13", failed["reason"])


def test_faulty_files_of_an_app_are_findings(project: Path) -> None:
    boutique = project / "boutique"
    (boutique / "commands.py").write_text("import typer\n\napp = typer.Typer(\n")
    (boutique / "probes.py").write_text("from boutique import parts\n")
    (boutique / "parts.py").write_text("import sys\nsys.nothing\n")
    (boutique / "checks.py").write_text(example("Checks"))
    report = checked(project)
    assert messages(report, "fastopp.E501") == [
        "boutique/commands.py, line 3: '(' was never closed.",
        "boutique/parts.py, line 2: AttributeError: module 'sys' has no attribute 'nothing'",
        "boutique/checks.py, line 8: the id 'shop.W001' does not fit the app.",
    ]
    assert report["checks"] > 15, "the others have run"
    (boutique / "commands.py").write_text("")
    (boutique / "probes.py").write_text("PROBES = 5")
    twice = example("Checks").replace("shop.W001", "boutique.W001")
    (boutique / "checks.py").write_text(f"{twice}\n\n{twice.replace('def catalogue', 'def again')}")
    assert messages(checked(project), "fastopp.E501") == [
        "boutique/commands.py has no `app`.",
        "boutique/probes.py: `PROBES` is not a Mapping.",
        "boutique/checks.py, line 22: the id 'boutique.W001' is used twice.",
    ]
    add_apps(project / "main.py", ["nowhere"])
    assert messages(checked(project), "fastopp.E501") == ["There is no app 'nowhere'."]


def test_the_settings_of_an_app(project: Path) -> None:
    (project / "boutique/settings.py").write_text(example("Settings"))
    (project / "boutique/commands.py").write_text(PRINTING)
    environ = {"SHOP_CURRENCY": "USD", "SHOP_PAYMENT_KEY": "a-canary"}
    shown = succeed(project, "oppman.py", "env", "--json", environ=environ)
    assert (json.loads(shown)["settings"]["SHOP_CURRENCY"], "a-canary" in shown) == ("USD", False)
    assert json.loads(shown)["settings"]["SHOP_PAYMENT_KEY"] == "set"
    assert "# Currency of all prices.\n# SHOP_CURRENCY=EUR\n" in succeed(project, "oppman.py", "settings", "--env")
    assert succeed(project, "oppman.py", "boutique", "print", environ=environ) == "USD\n"
    wrong = run_command(project, "oppman.py", "env", environ={"SHOP_CURRENCY": "Euro", "PORT": "0"})
    assert wrong.returncode == 2
    assert "The configuration has 2 mistakes" in wrong.stderr
    assert "SHOP_CURRENCY: String should have at most 3 characters. Currency of all prices." in wrong.stderr
    done = run_command(project, "oppman.py", "check", "--json", "--skip", "E121", environ={"SHOP_CURRENCY": "Euro"})
    assert messages(json.loads(done.stdout), "fastopp.E007")[0].startswith("SHOP_CURRENCY")


PRINTING = """
import typer

from boutique.settings import ShopSettings
from fastopp import Settings

app = typer.Typer()


@app.callback()
def boutique():
    pass


@app.command("print")
def print_currency():
    print(Settings().of(ShopSettings).shop_currency)
"""

USES = {
    "routes": """
from fastapi import APIRouter
from fastopp import SettingsOf
from probed_shop.settings import ShopSettings

router = APIRouter()


@router.get("/currency")
async def currency(shop: SettingsOf[ShopSettings]) -> str:
    return shop.shop_currency
""",
    "tasks": """
from fastopp import TaskContext, task
from probed_shop.settings import ShopSettings


@task(name="currency")
async def currency(context: TaskContext) -> dict[str, str]:
    return {"currency": context.runtime.settings.of(ShopSettings).shop_currency}
""",
    "seed": """
from fastopp import SeedStep, StepResult
from probed_shop.settings import ShopSettings


async def currency(session, storage, settings):
    return StepResult("success", settings.of(ShopSettings).shop_currency)


STEPS = [SeedStep("currency", "Currency", currency)]
""",
}


async def test_handlers_tasks_and_seed_steps_get_the_settings_of_an_app(app: str, tmp_path: Path) -> None:
    (tmp_path / app / "settings.py").write_text(example("Settings"))
    for name, text in USES.items():
        (tmp_path / app / f"{name}.py").write_text(text)
    environ = {"SHOP_CURRENCY": "USD"}
    async with (
        running(f"sqlite:///{tmp_path}/test.db", tmp_path, environ, [app]) as site,
        site.client(headers=BEARER) as client,
    ):
        assert (await client.get("/currency")).json() == "USD"
        assert (await client.post("/async/migrate")).status_code == 200
        assert (await client.post("/async/currency")).json()["details"] == {"currency": "USD"}
        assert (await client.post("/oppdemo/currency")).json()["message"] == "USD"


ODD = """

import datetime

async def faulty(runtime):
    raise KeyError("a-canary")

async def talkative(runtime):
    return {"status": "marvellous", "at": datetime.date(2026, 11, 30)}

async def speechless(runtime):
    return {"what": object}

PROBES |= {"faulty": faulty, "talkative": talkative, "speechless": speechless}
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An app with the example's probe and with odd ones."""
    folder = tmp_path / "probed_shop"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "probes.py").write_text(example("Health probes") + ODD)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield "probed_shop"
    for name in [name for name in sys.modules if name.startswith("probed_shop")]:
        del sys.modules[name]


async def test_the_probes_of_an_app(app: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, apps=[app]) as site, site.client() as client:
        answer = await client.get("/health", headers=BEARER)
        checks = answer.json()["checks"]
        assert answer.status_code == 503
        own = {name.removeprefix("probed_shop.") for name in set(checks) - {"database", "migrations", "storage"}}
        assert own == {"catalogue", "faulty", "talkative", "speechless"}
        assert checks["probed_shop.catalogue"]["error"] == "The catalogue has not been exported yet."
        assert checks["probed_shop.faulty"]["error"] == "It failed; the log says why."
        assert "a-canary" not in answer.text
        assert "a-canary" in caplog.text
        talkative = checks["probed_shop.talkative"]
        assert (talkative["status"], talkative["at"]) == ("healthy", "2026-11-30")
        assert checks["probed_shop.speechless"]["error"] == "It failed; the log says why."
        (tmp_path / "catalogue.csv").touch()
        again = (await client.get("/health", headers=BEARER)).json()["checks"]["probed_shop.catalogue"]
        assert (again["status"], again["exported"]) == ("healthy", True)


@pytest.mark.parametrize("text", ["def (", "import nothing_of_this_name", "", "PROBES = 5"])
async def test_probes_that_cannot_be_used(app: str, tmp_path: Path, text: str) -> None:
    (tmp_path / app / "probes.py").write_text(text)
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, apps=[app]) as site, site.client() as client:
        answer = await client.get("/health", headers=BEARER)
        assert answer.status_code == 503
        assert answer.json()["checks"]["probed_shop.probes"]["error"] == "probes.py cannot be used; the log says why."
