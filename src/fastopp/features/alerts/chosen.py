"""The rules of a site: the default ones and those of its apps, as ALERTS changes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from fastopp.core.apps import App, AppError
from fastopp.core.runtime import Runtime
from fastopp.features.alerts.defaults import DEFAULTS
from fastopp.features.alerts.rules import NEWS, AlertRule


def rules_of(runtime: Runtime) -> tuple[AlertRule, ...]:
    """Return the rules that are evaluated: the default ones and those of apps, as ALERTS changes them.

    Raises BrokenPart and AppError for an app's alerts.py that cannot be used.
    """
    own = [rule for app in runtime.apps for rule in _rules_of_app(app)]
    return tuple(_chosen((*DEFAULTS, NEWS, *own), runtime.settings.alert_choice.thresholds))


def _rules_of_app(app: App) -> list[AlertRule]:
    module = app.part("alerts", "RULES", Iterable)
    rules = list(module.RULES) if module is not None else []
    if not all(isinstance(rule, AlertRule) for rule in rules):
        raise AppError(f"{app.package}.alerts: RULES has something that is not an AlertRule.")
    return [replace(rule, id=f"{app.name}.{rule.id}") for rule in rules]


def _chosen(rules: Iterable[AlertRule], thresholds: Mapping[str, float | None]) -> Iterable[AlertRule]:
    for rule in rules:
        threshold = thresholds.get(rule.id, rule.threshold)
        if threshold is not None:
            yield rule if threshold == rule.threshold else replace(rule, threshold=threshold)
