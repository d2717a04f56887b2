"""What `makemigrations` asks, and what it says that it does not see."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from fastopp.database.migrations import migrate
from fastopp.database.migrations.questions import AnswerRefused, Answers, AnswersNeeded, FillQuestion, RenameQuestion
from fastopp.features.migrations import asking, commands
from tests.services.databases import url_on
from tests.services.migrations import settings_for
from tests.services.model_changes import MODELS, NAME, PLAIN, Project, column, many, models, mood, table

NONE = Answers()

url = url_on("sqlite", "psycopg")


@pytest.fixture
def project(tmp_path):
    yield Project(tmp_path)
    MODELS.clear()


@pytest.fixture
async def change(project, url):
    """Migrate to models, and write the migration to others."""
    settings = settings_for(url)

    async def write(before, after, answers=NONE, **options):
        project.use(models(before))
        if before is not None:
            await migrate.make_migration(settings, "before", answers=Answers(no_rename=True), folder=project.folder)
            await migrate.upgrade(settings, folder=project.folder)
        project.use(models(after))
        return await migrate.make_migration(settings, "after", answers=answers, folder=project.folder, **options)

    return write


async def test_both_questions_are_named(change, project):
    with pytest.raises(AnswersNeeded) as needed:
        await change(PLAIN, table(column("title", sa.String(40), nullable=False)))
    assert needed.value.extensions["questions"] == [
        "Was things.name renamed to things.title?",
        "What do existing rows get in things.title, which cannot be NULL?",
    ]
    for option in ("--rename things.name=title", "--no-rename", "--fill things.title=VALUE"):
        assert option in str(needed.value)
    assert len(list(project.folder.glob("versions/*.py"))) == 1


async def test_a_renamed_table(change):
    after = table(NAME, name="works")
    with pytest.raises(AnswersNeeded, match=r"Was things renamed to works\?.*`--rename things=works`"):
        await change(PLAIN, after)


async def test_a_rename_keeps_what_it_is_asked_for(change):
    made = await change(PLAIN, table(column("title", sa.String(40))), Answers(renamed={"things.name": "title"}))
    text = made.path.read_text()
    assert 'RENAME COLUMN "name" TO "title"' in text
    assert 'RENAME COLUMN "title" TO "name"' in text
    assert made.kept == ()
    assert "drop_column" not in text


async def test_no_rename_keeps_the_old_column(change):
    made = await change(PLAIN, table(column("title", sa.String(40))), Answers(no_rename=True))
    assert made.kept == ("column things.name",)
    assert "add_column" in made.path.read_text()


@pytest.mark.parametrize(
    ("new", "answers"),
    [
        (column("new", sa.Integer, nullable=False), Answers(fills={"things.new": "many"})),
        (column("new", mood(), nullable=False), Answers(fills={"things.new": "sad"})),
        (column("new", sa.JSON, nullable=False), Answers(fills={"things.new": "{"})),
        (column("new", sa.Date, nullable=False), Answers(fills={"things.new": "soon"})),
        (column("new", sa.Integer), Answers(renamed={"things.nothing": "new"})),
        (column("new", sa.Integer), Answers(renamed={"nothing": "things"})),
        (column("new", sa.Integer), Answers(renamed={"things.name": "id"})),
    ],
)
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_an_answer_that_does_not_fit(change, new, answers):
    with pytest.raises(AnswerRefused):
        await change(PLAIN, table(NAME, new), answers)


async def test_a_callable_default_is_asked_for_and_a_unique_one_is_said(change):
    new = column("new", sa.Integer, default=lambda: 3, nullable=False, unique=True)
    with pytest.raises(AnswersNeeded, match=r"get in things\.new, which cannot be NULL\? It is unique"):
        await change(PLAIN, table(NAME, new))


async def test_a_removed_value_of_an_enum_is_kept(change):
    made = await change(table(column("mood", mood())), table(column("mood", mood("good", "new"))))
    assert made.kept == ("value bad of things.mood",)
    assert "'good', 'bad', 'new'" in made.path.read_text()


async def test_what_is_not_compared_is_said(change):
    before = table(NAME, lambda: sa.CheckConstraint("name <> 'a'", name="named"), column("size", sa.Integer))
    after = table(
        NAME,
        lambda: sa.CheckConstraint("name <> 'b'", name="named"),
        lambda: sa.CheckConstraint("size > 5"),
        column("size", sa.Integer, server_default="3"),
    )
    made = await change(before, after)
    assert made.path is None
    assert len(made.unseen) == 3
    expected = ("CHECK named", "CHECK without a name", "server default")
    for words in expected:
        assert [words in each for each in made.unseen].count(True) == 1


async def test_two_tables_in_one_and_a_column_that_moves(change):
    both = many(PLAIN, table(column("size", sa.Integer), name="others"))
    made = await change(both, many(table(NAME, column("size", sa.Integer)), table(name="others")))
    assert made.kept == ("column others.size",)


def test_options_are_read():
    answers = Answers.parse(["a.b=c"], ["a.d=x=y"], no_rename=True)
    assert (answers.renamed, answers.fills) == ({"a.b": "c"}, {"a.d": "x=y"})
    with pytest.raises(AnswerRefused):
        Answers.parse(["a"], [], no_rename=False)


async def test_a_person_answers_one_question_after_the_other(monkeypatch):
    questions = [RenameQuestion("a.b", "c"), RenameQuestion("a.d", "c"), FillQuestion("a.c")]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(asking.typer, "confirm", lambda text, **_: text == str(questions[1]))
    monkeypatch.setattr(asking.typer, "prompt", lambda text, **_: "x")

    async def make(answers):
        if left := [
            each
            for each in questions
            if each.option.split()[1].split("=")[0] not in answers.renamed and not answers.settles(each)
        ]:
            raise AnswersNeeded(left)
        return answers

    given = await asking.asking(make, Answers(), no_input=False)
    assert given == Answers({"a.d": "c"}, frozenset({questions[0]}), fills={"a.c": "x"})


def test_without_a_terminal_the_command_names_both(tmp_path, monkeypatch, project):
    database = f"sqlite:///{tmp_path}/test.db"
    monkeypatch.setattr(commands, "_settings", lambda: settings_for(database))
    monkeypatch.chdir(project.folder.parent)
    run = CliRunner().invoke
    project.use(models(PLAIN))
    assert run(commands.app, ["makemigrations", "before"]).exit_code == 0
    assert run(commands.app, []).exit_code == 0
    project.use(models(table(column("title", sa.String(40), nullable=False))))
    for options in ([], ["--no-input"]):
        refused = run(commands.app, ["makemigrations", *options])
        assert refused.exit_code == 1
        said = " ".join(refused.output.split())
        assert "Was things.name renamed to things.title?" in said
        assert "What do existing rows get in things.title" in said
    done = run(commands.app, ["makemigrations", "--no-rename", "--fill", "things.title=none"])
    assert done.exit_code == 0, done.output
