"""Columns of a project on the framework's tables."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.orm import relationship
from sqlmodel import SQLModel
from sqlmodel.main import get_column_from_field


def add_columns(model: type[SQLModel], columns: type[SQLModel]) -> None:
    """Give a table model the fields, relationships, properties and methods of `columns`.

    `columns` is a plain SQLModel class, without `table=True`. The model stays the same class, so that the framework's
    code and the project's code read and write one table through one model.
    """
    for name, field in columns.model_fields.items():
        if name not in model.model_fields:
            column: Any = get_column_from_field(field)
            setattr(model, name, column)
            model.model_fields[name] = field
            model.__annotations__[name] = columns.__annotations__[name]
    for name, info in columns.__sqlmodel_relationships__.items():
        target = _target(columns.__annotations__[name])
        arguments = dict(info.sa_relationship_kwargs or {})
        if info.back_populates:
            arguments["back_populates"] = info.back_populates
        model.__sqlmodel_relationships__[name] = info
        setattr(model, name, relationship(target, **arguments))
    for name, value in vars(columns).items():
        if not name.startswith("_") and (callable(value) or isinstance(value, property)):
            setattr(model, name, value)
    model.model_rebuild(force=True)


def _target(annotation: object) -> str:
    """Return the class that a relationship's annotation names: `list["Order"]`, `Order | None`."""
    names: list[str] = re.findall(r"[A-Za-z_]\w*", str(annotation))
    return [name for name in names if name != "None"][-1]
