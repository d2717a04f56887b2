"""Alembic's entry point, for `oppman.py migrate` and for the plain `alembic` command alike."""

from sqlalchemy import MetaData

from alembic import context
from fastopp.database.migrations.alembic_env import run


def load_metadata() -> MetaData:
    """Import every table of the project. Called only when models are compared with the database."""
    from sqlmodel import SQLModel  # noqa: PLC0415 - as above

    from fastopp.features.accounts import models  # noqa: PLC0415, F401 - migrating needs no models; importing them registers them
    from fastopp.storage import evidence  # noqa: PLC0415, F401 - as above
    from main import app  # noqa: PLC0415 - as above

    for each in app.apps:
        each.load_models()
    return SQLModel.metadata


run(context, load_metadata)
