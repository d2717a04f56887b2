"""The workflow for GitHub: it can be read, and the commands that it runs exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer.main
import yaml

from fastopp.cli import oppman

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github/workflows"
WORKFLOW = WORKFLOWS / "leapcell.yml"


MONITOR = ROOT / "src/fastopp/features/leapcell/monitor.yml"


def steps() -> list[dict[str, Any]]:
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    assert set(jobs) == {"check", "emulator", "deploy", "migrate"}
    assert jobs["deploy"]["needs"] == ["check", "emulator"]
    assert jobs["migrate"]["needs"] == "deploy"
    return [step for job in jobs.values() for step in job["steps"]]


def test_every_command_exists() -> None:
    commands: Any = typer.main.get_command(oppman.app)
    text = "\n".join(step.get("run", "") for step in steps())
    named = re.findall(r"oppman\.py (leapcell|remote)(?: --url \S+)? (\w+)", text)
    assert len(named) >= 6
    for group, name in [*named, *(("remote", name) for name in re.findall(r"\$site (\w+)", text))]:
        assert name in commands.commands[group].commands


def test_every_script_exists() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS.iterdir())
    scripts = re.findall(r"\./script/[\w-]+", text)
    assert scripts
    for script in scripts:
        assert (ROOT / script).is_file()


def test_no_credentials_are_left_in_a_checkout() -> None:
    """As zizmor's auditors want it; the linter runs its milder rules on all workflows."""
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False] * 4
    used = [step["uses"] for step in steps() if "uses" in step]
    assert [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", each)] == []


def test_secrets_are_given_to_one_step_only() -> None:
    with_secrets = [step for step in steps() if "secrets." in str(step)]
    assert [set(step["env"]) for step in with_secrets] == [{"OPS_TOKEN", "LEAPCELL_URL"}]


def test_the_job_that_may_push_runs_no_code_of_others() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    (name,) = [name for name, job in jobs.items() if job.get("permissions", {}).get("contents") == "write"]
    assert [step.get("uses", step.get("run", "")).partition("@")[0] for step in jobs[name]["steps"]] == [
        "actions/checkout",
        "gh auth setup-git && git push origin HEAD:refs/heads/main",
    ]


def test_the_monitor_asks_the_site_and_may_do_nothing_else() -> None:
    workflow = yaml.safe_load(MONITOR.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True].keys() == {"schedule", "workflow_dispatch"}  # YAML 1.1 reads `on` as a boolean
    [job] = workflow["jobs"].values()
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    assert set(used) <= {step["uses"] for step in steps() if "uses" in step}
    assert [step["with"]["persist-credentials"] for step in job["steps"] if "checkout" in step.get("uses", "")] == [
        False
    ]
    assert [set(step["env"]) for step in job["steps"] if "secrets." in str(step)] == [{"OPS_TOKEN", "LEAPCELL_URL"}]
    commands: Any = typer.main.get_command(oppman.app)
    [run] = [step["run"] for step in job["steps"] if "oppman.py" in step.get("run", "")]
    assert run.endswith(" status --alert")
    options = commands.commands["remote"].commands["status"].params
    assert "--alert" in [name for option in options for name in option.opts]
