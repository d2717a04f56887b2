"""Who may do what with products, beside reading them, which anybody may."""

from __future__ import annotations

from fastopp.auth.models import User


def may_edit(user: User | None) -> bool:
    """Staff may change a product."""
    return user is not None and user.is_active and (user.is_staff or user.is_superuser)


def may_create(user: User | None) -> bool:
    """Superusers decide what is in the catalogue."""
    return user is not None and user.is_active and user.is_superuser


def may_delete(user: User | None) -> bool:
    """Superusers decide what is in the catalogue."""
    return may_create(user)
