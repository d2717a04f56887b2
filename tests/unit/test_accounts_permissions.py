from __future__ import annotations

import pytest
from sqlmodel import col, select

from fastopp.features.accounts.models import User
from fastopp.features.accounts.permissions import (
    ACCOUNT_RIGHTS,
    ACTIONS,
    FULL,
    READ_ONLY,
    SUPERUSER,
    Grant,
    Rights,
    RightsTable,
)


def by_email(user: User):
    return col(User.email) == user.email


SHOP: RightsTable = {
    "products": {"superuser": FULL, "staff": Grant.of("view", "edit")},
    "orders": {
        "superuser": FULL,
        "marketing": FULL,
        "sales": Grant.of("view", "edit", rows=by_email),
        "support": READ_ONLY,
    },
}
RIGHTS = Rights.merged(ACCOUNT_RIGHTS, SHOP)


def somebody(group: str | None = None, *, superuser: bool = False, staff: bool = True, active: bool = True) -> User:
    return User(
        email="me@example.com",
        hashed_password="",
        group=group,
        is_superuser=superuser,
        is_staff=staff,
        is_active=active,
    )


def actions(user: User | None, model: str) -> set[str]:
    return {action for action in ACTIONS if RIGHTS.can(user, action, model)}


@pytest.mark.parametrize(
    ("user", "model", "expected"),
    [
        (somebody(superuser=True), "users", "view create edit delete"),
        (somebody(superuser=True), "audit_logs", "view"),
        (somebody(superuser=True, staff=False), "products", "view create edit delete"),
        (somebody(superuser=True, active=False), "products", ""),
        (somebody(), "users", ""),
        (somebody("admin"), "users", ""),
        (somebody(), "products", "view edit"),
        (somebody("support"), "products", "view edit"),
        (somebody("marketing"), "orders", "view create edit delete"),
        (somebody("marketing", staff=False), "orders", ""),
        (somebody("marketing", active=False), "orders", ""),
        (somebody("sales"), "orders", "view edit"),
        (somebody("support"), "orders", "view"),
        (somebody("unheard-of"), "orders", ""),
        (somebody(), "orders", ""),
        (somebody(superuser=True), "unheard_of", ""),
        (None, "products", ""),
    ],
)
def test_matrix(user: User | None, model: str, expected: str) -> None:
    assert actions(user, model) == set(expected.split())


def test_a_group_named_like_a_role_gains_nothing() -> None:
    assert actions(somebody(SUPERUSER), "users") == set()
    assert actions(somebody(SUPERUSER), "products") == {"view", "edit"}


def test_rows_are_restricted() -> None:
    statement = select(User)
    assert RIGHTS.restrict(statement, somebody("marketing"), "orders") is statement
    assert "users.email = " in str(RIGHTS.restrict(statement, somebody("sales"), "orders", "edit"))
    for nothing in (
        RIGHTS.restrict(statement, somebody("sales"), "orders", "delete"),
        RIGHTS.restrict(statement, None, "orders"),
        RIGHTS.restrict(statement, somebody(), "users"),
    ):
        assert "false" in str(nothing) or "0 = 1" in str(nothing)


def test_the_later_table_wins() -> None:
    rights = Rights.merged(ACCOUNT_RIGHTS, {"users": {"superuser": READ_ONLY}})
    assert not rights.can(somebody(superuser=True), "delete", "users")
