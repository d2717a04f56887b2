"""Defining tasks: names, arguments, retries, locks; and procrastinate's schema, taken apart."""

from __future__ import annotations

from importlib import resources
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastopp.core.apps import find_apps
from fastopp.settings import load_settings
from fastopp.tasks.arguments import fill, pack
from fastopp.tasks.errors import TaskArguments, TaskDefinitionError, TaskUnknown
from fastopp.tasks.failure import describe
from fastopp.tasks.limits import MAX_ERROR
from fastopp.tasks.queue.postgres.schema import drop_statements, schema_statements
from fastopp.tasks.registry import TaskRegistry
from fastopp.tasks.retry import Retry
from fastopp.tasks.task import Task, periodic, task


async def greet(context, name: str, times: int = 1) -> str:
    """Say hello.

    At length.
    """
    return f"hello {name}" * times


def test_a_task_is_its_function_with_a_name():
    made = task(greet)
    assert isinstance(made, Task)
    assert (made.name, made.description) == ("test_tasks_task.greet", "Say hello.")
    assert (made.is_async, made.takes_context, list(made.parameters)) == (True, True, ["name", "times"])
    assert task(name="other", retry=5)(greet).retry == Retry(attempts=5)


def test_tasks_of_an_app_are_named_for_it():
    registry = TaskRegistry(find_apps(["tests.services.errands"]))
    assert "errands.trivial" in registry
    assert registry.find("errands.minutely").schedules[0].cron == "* * * * *"
    with pytest.raises(TaskUnknown):
        registry.find("errands.nothing")


def test_two_tasks_of_one_name():
    app = SimpleNamespace(package="a", tasks=lambda: [task(greet), task(greet)])
    with pytest.raises(TaskDefinitionError, match="Two tasks are named"):
        list(TaskRegistry([app]))


def test_what_cannot_be_a_task():
    with pytest.raises(TaskDefinitionError):
        task(name="x" * 129)(greet)
    with pytest.raises(TaskDefinitionError):
        task(retry=0)(greet)
    with pytest.raises(TaskDefinitionError):
        task(lambda *everything: None)
    with pytest.raises(TaskDefinitionError):
        periodic(cron="* * * * *")(greet)
    with pytest.raises(TaskDefinitionError):
        periodic(cron="* * * * *")(periodic(cron="0 * * * *")(task(greet)))


@given(attempt=st.integers(1, 10_000))
def test_pauses_grow_and_are_bounded(attempt):
    plain = Retry(first=10, factor=3, longest=3600, jitter=0)
    assert plain.pause(attempt) <= plain.pause(attempt + 1) <= 3600
    jittered = Retry(first=10, factor=3, longest=3600, jitter=0.25).pause(attempt)
    assert 0.75 * plain.pause(attempt) <= jittered <= 1.25 * plain.pause(attempt)


@given(name=st.text())
def test_texts_are_packed_as_they_are_or_refused(name):
    made = task(greet)
    try:
        assert pack(made, {"name": name}) == {"name": name}
    except TaskArguments:
        assert "\0" in name or any(0xD800 <= ord(character) <= 0xDFFF for character in name)


def test_locks_are_filled_in():
    assert fill("lock-{name}", {"name": "a"}) == "lock-a"
    assert fill(None, {}) is None
    with pytest.raises(TaskArguments):
        fill("lock-{name}", {})


class Awkward(Exception):
    def __str__(self) -> str:
        raise ValueError("no")

    def __reduce__(self):
        raise TypeError("cannot be pickled")


def test_any_exception_can_be_described():
    settings = load_settings({"DATABASE_URL": "postgresql://me:se%25cret@host/db", "OPS_TOKEN": "a" * 24})
    assert describe(Awkward(), settings) == "Awkward: (its message cannot be made)"
    assert len(describe(RuntimeError("x" * 100_000), settings)) <= MAX_ERROR
    assert describe(RuntimeError("a\0b \ud800 se%cret " + "a" * 24), settings) == "RuntimeError: a\ufffdb ? *** ***"
    group = describe(ExceptionGroup("two", [ValueError("one"), KeyError("other")]), settings)
    assert "- ValueError: one\n- KeyError: 'other'" in group


def test_the_schema_is_procrastinates():
    """A difference here says that procrastinate has changed its tables: make a migration of what it changed."""
    installed = (resources.files("procrastinate") / "sql/schema.sql").read_text()
    ours = (resources.files("fastopp.tasks.queue.postgres") / "procrastinate_3_10.sql").read_text()
    assert ours.endswith(installed)
    statements = schema_statements()
    assert len(statements) == 42
    assert all(statement.startswith(("CREATE", "DO")) for statement in statements)
    assert len(drop_statements()) == 25
