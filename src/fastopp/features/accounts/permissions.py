"""The permissions of each group on each table, as data: a project reads its permissions in one place.

An app declares its own table in `permissions.py`:

    RIGHTS: RightsTable = {
        "products": {"superuser": FULL, "staff": Grant.of("view", "edit")},
        "orders": {
            "superuser": FULL,
            "marketing": FULL,
            "sales": Grant.of("view", "edit", rows=assigned_to),
        },
    }

and `Rights.merged(ACCOUNT_RIGHTS, RIGHTS, ...)` answers for all of them together. What is not granted is denied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Self, TypeVar

from sqlalchemy import ColumnElement, Select, false

from fastopp.features.accounts.models import User

Action = Literal["view", "create", "edit", "delete"]
ACTIONS: frozenset[Action] = frozenset({"view", "create", "edit", "delete"})

GROUPS = ("admin", "marketing", "sales", "support")  # the customary ones; a project may use any other text
SUPERUSER = "superuser"
STAFF = "staff"

RowFilter = Callable[[User], ColumnElement[bool]]
"""The rows that a user may see and change, as an SQL condition on the model's columns."""

Statement = TypeVar("Statement", bound=Select[Any])


class Grant(NamedTuple):
    """Some actions, on all rows or on those that `rows` chooses for the user."""

    actions: frozenset[Action]
    rows: RowFilter | None = None

    @classmethod
    def of(cls, *actions: Action, rows: RowFilter | None = None) -> Self:
        """A grant of the named actions."""
        return cls(frozenset(actions), rows)


FULL = Grant(ACTIONS)
READ_ONLY = Grant.of("view")

RightsTable = Mapping[str, Mapping[str, Grant]]
"""Table name, then role, then what it grants. A role is `superuser`, a group's name, or `staff`: all other staff."""

ACCOUNT_RIGHTS: RightsTable = {
    "users": {SUPERUSER: FULL},
    # Written by FastOpp only, never edited.
    "audit_logs": {SUPERUSER: READ_ONLY},
}


class Rights(NamedTuple):
    """The rights of a whole project."""

    table: RightsTable

    @classmethod
    def merged(cls, *tables: RightsTable) -> Self:
        """The rights of several apps together. Where two speak of one table, the later wins."""
        return cls({model: roles for table in tables for model, roles in table.items()})

    def grant(self, user: User | None, model: str) -> Grant | None:
        """Return the grant of `user` on the table named `model`; None if there is none.

        Only the strongest role counts: superuser, else the user's group, else staff. A user who is
        neither staff nor superuser, or not active, has no permissions, regardless of the group.
        """
        if user is None or not user.is_active:
            return None
        roles = self.table.get(model, {})
        if user.is_superuser:
            return roles.get(SUPERUSER)
        if not user.is_staff:
            return None
        # A group that calls itself after a role does not get the role.
        own = roles.get(user.group) if user.group and user.group != SUPERUSER else None
        return own or roles.get(STAFF)

    def can(self, user: User | None, action: Action, model: str) -> bool:
        """Return whether `user` may do this with at least some rows of the table."""
        grant = self.grant(user, model)
        return grant is not None and action in grant.actions

    def restrict(self, statement: Statement, user: User | None, model: str, action: Action = "view") -> Statement:
        """The statement, narrowed to the rows on which `user` may do this; to none if they may not at all."""
        grant = self.grant(user, model)
        if user is None or grant is None or action not in grant.actions:
            return statement.where(false())
        return statement if grant.rows is None else statement.where(grant.rows(user))
