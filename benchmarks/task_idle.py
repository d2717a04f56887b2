"""What a web process pays for tasks that it never queues: `python -m benchmarks.task_idle` is such a process."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Mapping

from benchmarks.project import BACKENDS, project
from benchmarks.server import ROOT

PAGES = ("/", "/database-demo", "/webinar-demo", "/api/products", "/oppdemo/", "/health")


async def idle_web_process() -> None:
    """Print a line for each database."""
    print(f"\n{'a web process that never queues a task, serverless':55}   aim: no module of procrastinate, no thread,")
    print(f"{'':55}   and no connection of its own")
    for backend in BACKENDS:
        async with project(backend) as environ:
            print(f"{'  ' + backend:55}   {await _in_a_process(environ)}", flush=True)


async def _in_a_process(environ: Mapping[str, str]) -> str:
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = (sys.executable, "-m", "benchmarks.task_idle")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=base | dict(environ), stdout=-1)
    output, _ = await process.communicate()
    return output.decode().strip().rpartition("\n")[2]


async def _main() -> None:
    import httpx  # noqa: PLC0415 - the process's own

    from main import app  # noqa: PLC0415 - as above

    async with app.running(), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://web") as client:
        for page in PAGES:
            await client.get(page)
        named = [thread.name for thread in threading.enumerate()]
        loaded = {name.partition(".")[0] for name in sys.modules} & {"procrastinate", "psycopg_pool", "croniter"}
        ours = sorted(name for name in sys.modules if name.startswith("fastopp.tasks."))
        worker = [task for task in asyncio.all_tasks() if "worker" in task.get_name()]
        print(f"{len(loaded)} of procrastinate, {len(named)} threads ({', '.join(named)}), {len(worker)} workers; "
              f"{len(ours)} modules of fastopp.tasks")  # fmt: skip


if __name__ == "__main__":
    asyncio.run(_main())
