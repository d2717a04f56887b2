"""A rule of an app."""

from __future__ import annotations

from fastopp import AlertRule, Measured
from fastopp.features.alerts.site import Site
from tests.services.alert_app.state import State


async def stock(site: Site) -> Measured | None:
    if State.broken:
        raise RuntimeError(f"with {site.runtime.settings.ops_token.get_secret_value()} in it")
    if State.stock is None:
        return None
    return Measured(-State.stock + 100, 1, f"The key is {site.runtime.settings.secret_key.get_secret_value()}.")


RULES = (AlertRule(id="stock", title="The shelf is empty", what="Missing things", measure=stock, threshold=90),)
