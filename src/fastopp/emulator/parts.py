"""The services that LeapCell offers beside the instances, as this run wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fastopp.emulator.emulator import EmulatorOptions, Service
from fastopp.emulator.events import Journal


def make_services(
    options: EmulatorOptions, *, database: bool, object_storage: bool, cron: Path | None
) -> Callable[[Journal], Mapping[str, Service]]:
    """What makes the services, once there is a journal for what they remark on."""

    def make(journal: Journal) -> Mapping[str, Service]:
        from fastopp.emulator.services.postgres import Postgres, PostgresOptions  # noqa: PLC0415 - 200 ms

        def notice(found: str) -> None:
            journal.fire("pooler", found=found)

        services: dict[str, Service] = {}
        if database:
            services["postgres"] = Postgres(
                PostgresOptions(pooler=options.rules.pooler),  # type: ignore[arg-type] # one of its choices
                notice=notice,
            )
        return services

    return make
