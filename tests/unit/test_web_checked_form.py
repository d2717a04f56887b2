"""A form is shown again with its values, and the errors beside the fields."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import pytest
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, field_validator

from fastopp.web.checked_form import CheckedForm, FormOf, Mistake, check_form
from fastopp.web.templating import render
from tests.services.web_project import BROWSER, client, make_app

PAGE = """\
<form>{{ ui.field("title", "Title", form=form) }}{{ ui.field("password", "Password", type="password", form=form) }}
{{ ui.field("note", "Note", type="textarea", form=form) }}</form>
"""


class Book(BaseModel):
    title: Annotated[str, Field(min_length=2, max_length=5)]
    password: Annotated[str, Mistake("Enter a password.")]
    price: Annotated[Decimal, Field(gt=0)] = Decimal(1)
    published: date | None = None
    kind: Literal["novel", "poem"] = "novel"
    tags: list[str] = []
    note: str = ""

    @field_validator("note")
    @classmethod
    def _is_polite(cls, note: str) -> str:
        if "!" in note:
            raise ValueError("Do not shout")
        return note


RIGHT = {"title": "Emma", "password": "secret-enough"}


def test_a_form_without_mistakes() -> None:
    form = check_form(Book, RIGHT | {"price": "2.50", "published": "", "tags": ["old", "new"], "note": "  "})
    assert (form.errors, form.status_code) == ({}, 200)
    assert form.data == Book(title="Emma", password="secret-enough", price=Decimal("2.50"), tags=["old", "new"])


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("title", "", "Enter a value."),
        ("title", "E", "Use 2 characters or more."),
        ("title", "Emmanuelle", "Use 5 characters or fewer."),
        ("password", "", "Enter a password."),
        ("price", "much", "Enter a number."),
        ("price", "-1", "Enter more than 0."),
        ("published", "yesterday", "Enter a date."),
        ("kind", "song", "Choose one of the options."),
        ("note", "Loud!", "Do not shout."),
    ],
)
def test_mistakes_in_words(field: str, value: str, error: str) -> None:
    form = check_form(Book, RIGHT | {field: value})
    assert (form.errors, form.data, form.status_code) == ({field: error}, None, 422)
    assert form.values[field] == value


async def test_it_is_shown_again(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/form.html").write_text(PAGE)
    app, router = make_app(tmp_path), APIRouter()

    @router.get("/book")
    async def blank(request: Request) -> Response:
        return render(request, "form.html", {"form": CheckedForm()})

    @router.post("/book")
    async def add(request: Request, form: FormOf[Book]) -> Response:
        if form.data is None:
            return render(request, "form.html", {"form": form}, status_code=form.status_code)
        return Response(f"{form.data.title} {form.data.tags}")

    app.include_router(router)
    async with client(app, **BROWSER) as browser:
        assert "aria-invalid" not in (await browser.get("/book")).text
        wrong = {"title": '"><i>', "password": "hunter2-hunter2", "note": "<b>Loud!"}
        answer = await browser.post("/book", data=wrong)
        assert answer.status_code == 422
        assert 'value="&#34;&gt;&lt;i&gt;"' in answer.text
        assert "&lt;b&gt;Loud!</textarea>" in answer.text
        assert answer.text.count('aria-invalid="true"') == 1
        assert "Do not shout." in answer.text
        assert "hunter2" not in answer.text
        assert (await browser.post("/book", data=RIGHT | {"tags": ["a", "b"]})).text == "Emma ['a', 'b']"
    body = app.openapi()["paths"]["/book"]["post"]["requestBody"]["content"]
    assert list(body) == ["application/x-www-form-urlencoded"], "the API's document has the form"


@pytest.mark.parametrize(("field", "value"), [("title", "a\0"), ("note", "\0"), ("tags", ["old", "a\0b"])])
def test_a_character_that_no_database_stores_is_an_error(field, value):
    form = check_form(Book, RIGHT | {field: value})
    assert form.data is None
    assert form.errors == {field: "This has a character that cannot be stored."}
