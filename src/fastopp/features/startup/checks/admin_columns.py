"""A check of the admin views: do the columns that they name exist?"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.core.apps import App, AppError

OPTIONS: Final = (
    "column_list", "column_exclude_list", "column_details_list", "column_details_exclude_list", "column_export_list",
    "column_searchable_list", "column_sortable_list", "column_formatters", "column_labels", "column_default_sort",
    "form_columns", "form_excluded_columns", "form_args", "form_widget_args", "form_overrides",
)  # fmt: skip


@check(
    "fastopp.E505",
    "An admin view names a column that does not exist",
    fix="Correct the name, or add the column to the model.",
    subject=Subject.SOURCE,
)
def admin_columns(context: CheckContext) -> Iterator[Problem]:
    """The page of the view fails when it is opened."""
    for app in context.apps:
        try:
            views = app.admin_views()
        except AppError:
            continue  # fastopp.E501
        for view in views:
            yield from _unknown(view, app)


def _unknown(view: type, app: App) -> Iterator[Problem]:
    from sqlalchemy import inspect as inspect_mapped  # noqa: PLC0415 - as the models

    model = getattr(view, "model", None)
    mapper = inspect_mapped(model, raiseerr=False)
    if mapper is None:
        return
    for option in OPTIONS:
        for name in _names(getattr(view, option, ())):
            if not hasattr(model, name.partition(".")[0]):
                close = get_close_matches(name, mapper.attrs.keys(), n=1)
                hint = f"Did you mean `{close[0]}`?" if close else None
                message = f"{_place(view, name, app)}: {mapper.class_.__name__} has no `{name}`, which {option} names."
                yield Problem(message, hint)


def _names(value: Any) -> Iterator[str]:  # noqa: ANN401 - SQLAdmin takes names, attributes, pairs and dictionaries
    if isinstance(value, str):
        if value != "__all__":
            yield value
    elif isinstance(value, Mapping):
        yield from (name for name in value if isinstance(name, str))
    elif isinstance(value, (list, tuple, set)):
        for each in value:
            if isinstance(each, str):
                yield from _names(each)
            elif isinstance(each, tuple) and each:
                yield from _names(each[0])


def _place(view: type, name: str, app: App) -> str:
    lines, first = inspect.getsourcelines(view)
    offset = next((number for number, line in enumerate(lines) if f'"{name}"' in line or f"'{name}'" in line), 0)
    file = Path(inspect.getfile(view))
    shown = file.relative_to(app.project) if file.is_relative_to(app.project) else file
    return f"{shown.as_posix()}, line {first + offset}"
