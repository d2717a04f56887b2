"""Orders belong to a user; a complaint is kept, and so keeps its user."""

from __future__ import annotations

import uuid

from sqlmodel import Field, SQLModel


class Order(SQLModel, table=True):
    __tablename__ = "account_app_orders"

    id: int | None = Field(default=None, primary_key=True)
    user_id: uuid.UUID = Field(foreign_key="users.id")
    title: str


class Complaint(SQLModel, table=True):
    __tablename__ = "account_app_complaints"

    id: int | None = Field(default=None, primary_key=True)
    user_id: uuid.UUID = Field(foreign_key="users.id")


for model in (Order, Complaint):  # other tests compare all that SQLModel knows with the migrations
    SQLModel.metadata.remove(model.__table__)
