"""Alembic's entry point, for `oppman.py migrate` and for the plain `alembic` command alike."""

from sqlalchemy import MetaData

from alembic import context
from fastopp.database.migrations.alembic_env import run


def load_metadata() -> MetaData:
    """Import every table of the project. Called only when models are compared with the database."""
    from sqlmodel import SQLModel  # noqa: PLC0415 - migrating needs no models

    from fastopp.core.features import find_features  # noqa: PLC0415 - as above
    from fastopp.storage import evidence  # noqa: PLC0415, F401 - importing models registers them
    from main import app  # noqa: PLC0415 - as above

    for each in (*find_features(), *app.apps):
        each.load_models()
    return SQLModel.metadata


run(context, load_metadata)
