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
        from fastopp.emulator.services.object_storage import ObjectStorage, StorageOptions  # noqa: PLC0415 - 200 ms
        from fastopp.emulator.services.postgres import Postgres, PostgresOptions  # noqa: PLC0415 - 200 ms

        def notice(rule: str, found: str) -> None:
            journal.fire(rule, found=found)

        rules = options.rules
        services: dict[str, Service] = {}
        if database:
            services["postgres"] = Postgres(
                PostgresOptions(pooler=rules.pooler),  # type: ignore[arg-type] # one of its choices
                notice=notice,
            )
        if object_storage:
            services["object_storage"] = ObjectStorage(
                StorageOptions(
                    oddities=rules.storage_oddities,
                    max_bytes=rules.storage_quota,
                    max_files=rules.storage_files,
                    cdn_ttl=rules.cdn_ttl,
                ),
                notice=notice,
            )
        return services

    return make
