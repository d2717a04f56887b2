"""The rights to products. Everyone may read them on the dashboard."""

from __future__ import annotations

from fastopp.features.accounts.permissions import FULL, STAFF, SUPERUSER, Grant, RightsTable

TABLE = "products"

RIGHTS: RightsTable = {TABLE: {SUPERUSER: FULL, STAFF: Grant.of("view", "edit")}}
