"""/metrics: figures about requests, tasks and instances from the database, and about this process, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from fastopp.core.dependencies import RuntimeDep
from fastopp.features.accounts.detached import DetachedOperator
from fastopp.features.jobs.durations import durations
from fastopp.features.jobs.metrics import TaskFigures
from fastopp.features.monitor.metrics import INSTANCE_LABEL, read_totals
from fastopp.web.answers import NO_STORE
from fastopp.web.api_docs import problems

if TYPE_CHECKING:
    from prometheus_client import Metric

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The figures", "content": {"text/plain": {"schema": {"type": "string"}}}}
}

router = APIRouter(tags=["health"])


@dataclass(frozen=True, slots=True, eq=False)  # prometheus-client keeps collectors by their identity
class ProcessFigures:
    """The `process_…` figures, with the id of the instance."""

    instance: str

    def collect(self) -> Iterator[Metric]:
        """Collect the metrics; called by prometheus-client."""
        from prometheus_client import Metric, ProcessCollector  # noqa: PLC0415 - only for who asks

        for family in ProcessCollector(registry=None).collect():
            labelled = Metric(family.name, family.documentation, family.type)
            for sample in family.samples:
                labelled.add_sample(sample.name, {**sample.labels, INSTANCE_LABEL: self.instance}, sample.value)
            yield labelled


@router.get(
    "/metrics", response_class=Response, responses=_TEXT | problems(401, 403, 503), summary="Figures for Prometheus"
)
async def metrics(request: Request, runtime: RuntimeDep, operator: DetachedOperator) -> Response:
    """The same whichever instance answers; `process_…` are about the process that answers."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - 60 ms that only this needs
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - as above

    registry = CollectorRegistry(auto_describe=False)
    async with runtime.database.read() as session:
        registry.register(TaskFigures(await runtime.tasks.counts(), await durations(session)))
        registry.register(await read_totals(session, runtime.clock.time()))
    registry.register(ProcessFigures(runtime.recorder.instance))
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers=NO_STORE | {"Content-Type": content_type})
