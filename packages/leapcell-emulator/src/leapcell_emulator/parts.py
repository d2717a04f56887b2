"""The services that LeapCell offers beside the instances, as this run wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from leapcell_emulator.emulator import Emulator
from leapcell_emulator.environment import read_env_file
from leapcell_emulator.service import Service
from leapcell_emulator.services.async_queue import AsyncOptions, AsyncQueue
from leapcell_emulator.services.cron import Cron, CronError, Timer, read_timers


def make_services(
    *,
    database: bool,
    object_storage: bool,
    cron: Path | None,
    redis: bool = False,
    database_latency: float = 0.0,
) -> Callable[[Emulator], Mapping[str, Service]]:
    """Create an emulator's services: they take their limits from its rules and report to its journal.

    cron: the file with the timers.
    database_latency: seconds that a statement takes to the database and back.
    Raises `CronError`.
    """

    def make(emulator: Emulator) -> Mapping[str, Service]:
        rules = emulator.rules

        def notice(rule: str, found: str) -> None:
            emulator.journal.fire(rule, found=found, level="warning")

        services: dict[str, Service] = {}
        if database:
            from leapcell_emulator.services.postgres import Postgres, PostgresOptions  # noqa: PLC0415 - psycopg: 100 ms

            options = PostgresOptions(
                pooler=rules.pooler,  # type: ignore[arg-type] # checked against its choices
                latency=database_latency,
                max_connections=rules.db_max_connections,
                tls=rules.db_tls,
            )
            services["postgres"] = Postgres(options, notice=notice)
        if object_storage:
            from leapcell_emulator.services.object_storage import ObjectStorage, StorageOptions  # noqa: PLC0415

            services["object_storage"] = ObjectStorage(
                StorageOptions(
                    oddities=rules.storage_oddities,
                    max_bytes=rules.storage_quota,
                    max_files=rules.storage_files,
                    cdn_ttl=rules.cdn_ttl,
                ),
                notice=notice,
            )
        if redis:
            from leapcell_emulator.services.redis import Redis, RedisOptions  # noqa: PLC0415 - few ask for it

            services["redis"] = Redis(RedisOptions(commands=rules.redis_commands), notice=notice)  # type: ignore[arg-type] # as above
        services["async_queue"] = AsyncQueue(
            lambda: emulator.local_url,
            AsyncOptions(
                workers=rules.async_workers,
                retries=rules.async_retries,
                duplicate=rules.async_duplicate,
                drop=rules.async_drop,
                delay=rules.async_delay,
                max_body=rules.max_async_body,
                timeout=rules.request_timeout or 24 * 3600,
                port=emulator.options.async_port,
            ),
            notice=notice,
        )
        if cron is not None:
            variables = read_env_file(emulator.options.env_file) | dict(emulator.options.variables)
            services["cron"] = Cron(_read(cron, variables), lambda: emulator.local_url)
        return services

    return make


def _read(path: Path, variables: Mapping[str, str]) -> list[Timer]:
    try:
        return read_timers(path.read_text(encoding="utf-8"), variables)
    except (OSError, UnicodeDecodeError) as error:
        raise CronError(f"The cron file {path} cannot be read: {error}.") from error
