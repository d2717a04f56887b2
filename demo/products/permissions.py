"""Who may do what with products, beside reading them on the dashboard, which anybody may."""

from __future__ import annotations

from fastopp.features.accounts.permissions import FULL, STAFF, SUPERUSER, Grant, RightsTable

TABLE = "products"

RIGHTS: RightsTable = {TABLE: {SUPERUSER: FULL, STAFF: Grant.of("view", "edit")}}
