"""Figures about tasks from the database, for /metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastopp.features.jobs.durations import Durations
from fastopp.tasks.queue.report import TaskCounts

if TYPE_CHECKING:
    from prometheus_client import Metric


@dataclass(frozen=True, slots=True, eq=False)  # prometheus-client keeps collectors by their identity
class TaskFigures:
    """Figures about tasks, in the shape of prometheus-client's collectors."""

    counts: TaskCounts
    durations: list[Durations]

    def collect(self) -> Iterator[Metric]:
        """Collect the metrics; called by prometheus-client."""
        from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415 - only for who asks

        def gauge(name: str, what: str, labels: list[str], rows: Iterable[tuple[list[str], float]]) -> Metric:
            family = GaugeMetricFamily(f"fastopp_{name}", what, labels=labels)
            for values, number in rows:
                family.add_metric(values, number)
            return family

        groups = (([status, queue, task], count) for queue, task, status, count in self.counts.groups)
        yield gauge("tasks", "Tasks.", ["status", "queue", "task"], groups)
        oldest = self.counts.oldest_waiting or 0
        yield gauge("tasks_oldest_waiting_seconds", "Age of the oldest waiting task.", [], [([], oldest)])
        ended = "that ended within the last hour."
        rows = [([each.task], each) for each in self.durations]
        yield gauge("tasks_ended_1h", f"Tasks {ended}", ["task"], ((key, d.count) for key, d in rows))
        yield gauge("tasks_failed_1h", f"Failed tasks {ended}", ["task"], ((key, d.failed) for key, d in rows))
        yield gauge(
            "tasks_duration_seconds_sum_1h",
            f"Seconds that tasks took {ended}",
            ["task"],
            ((key, d.total) for key, d in rows),
        )
        yield gauge(
            "tasks_duration_seconds_1h",
            f"Seconds that so large a part of the tasks did not exceed {ended}",
            ["task", "quantile"],
            (([d.task, f"{percent / 100:g}"], value) for d in self.durations for percent, value in d.quantiles.items()),
        )
        yield gauge("task_workers", "Workers that are alive.", [], [([], self.counts.workers)])
        yield gauge("tasks_stalled", "Tasks whose worker is dead.", [], [([], self.counts.stalled)])
