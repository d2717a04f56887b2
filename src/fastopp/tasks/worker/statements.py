"""The SQL of a worker, which procrastinate has not: many jobs at a time, and each change only to what is one's own.

`%(worker_id)s` is in every change: what a process does that was frozen, and whose jobs others have taken over, changes
nothing.
"""

# ruff: noqa: S608 - put together of constants of this module, and nothing else

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statements:
    """For one kind of database. Parameters are written as the connector wants them."""

    fetch: str
    """Take up to `limit` jobs; rows of procrastinate's job."""
    claim: str
    """Take one job, whether or not its time has come; no row when it does not wait or its lock is held."""
    finish: tuple[str, ...]
    """Write outcomes; the last statement's rows are the ids that were ours."""
    held: str
    """The jobs that a worker has, as the database knows it."""
    place: str
    """The checkpoint of earlier attempts. Separate query: a join inside `fetch` would read an older snapshot."""
    report: str
    """Write progress; a row when the job is ours. Not the place: it may be that of a transaction under way."""
    save_place: str
    """Write the place; a row when the job is ours."""
    heartbeat: str
    """A sign of life; a row when the worker is known."""
    stalled: str
    """Jobs whose workers have given no sign of life for `stalled_after` seconds."""
    take_over: str
    """Take such a job from its worker; returns a row unless another worker did."""
    note: str
    """Write why a job was taken over."""


_JOB = "id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id"
_RUN = "done, total, message, result, error"
_KEEP = ", ".join(f"{name} = excluded.{name}" for name in (*_RUN.split(", "), "updated_at"))

_POSTGRESQL_ALIVE = """EXISTS (
    SELECT FROM procrastinate_workers AS worker
    WHERE worker.id = job.worker_id
    AND worker.last_heartbeat >= statement_timestamp() - %(stalled_after)s::float8 * interval '1 s'
)"""

POSTGRESQL = Statements(
    # What procrastinate's function looks for, for many jobs at once. The function, called for each, keeps the rows that
    # others have just changed locked until the last call, and they wait: of four workers each waited for three.
    fetch=f"""
WITH candidate AS MATERIALIZED (
    SELECT id FROM procrastinate_jobs AS job
    WHERE status = 'todo'
    AND (%(queues)s::varchar[] IS NULL OR queue_name = ANY (%(queues)s::varchar[]))
    AND (scheduled_at IS NULL OR scheduled_at <= statement_timestamp())
    AND (lock IS NULL OR NOT EXISTS (
        SELECT FROM procrastinate_jobs AS other WHERE other.lock = job.lock AND (
            other.status = 'doing' OR other.status = 'todo'
            AND (other.priority > job.priority OR other.priority = job.priority AND other.id < job.id)
        )
    ))
    ORDER BY priority DESC, id LIMIT %(limit)s::int
    FOR UPDATE OF job SKIP LOCKED
)
UPDATE procrastinate_jobs AS job SET status = 'doing', worker_id = %(worker_id)s::bigint
FROM candidate WHERE job.id = candidate.id
RETURNING {", ".join("job." + name for name in _JOB.split(", "))}
""",
    claim=f"""
WITH taken AS (
    UPDATE procrastinate_jobs AS job SET status = 'doing', worker_id = %(worker_id)s, scheduled_at = NULL
    WHERE id = %(job_id)s AND status = 'todo' AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS other WHERE other.lock = job.lock AND other.status = 'doing'
    )
    RETURNING {_JOB}
)
SELECT taken.*, run.place FROM taken LEFT JOIN task_runs AS run ON run.job_id = taken.id
""",
    finish=(
        f"""
WITH given AS (
    SELECT * FROM jsonb_to_recordset(%(outcomes)s::jsonb) AS x(
        id bigint, status text, counted int, pause float8, keep boolean,
        done bigint, total bigint, message text, result jsonb, error text
    )
), mine AS (
    UPDATE procrastinate_jobs AS job SET
        status = (CASE WHEN given.status = 'todo' AND job.abort_requested THEN 'aborted' ELSE given.status END)
            ::procrastinate_job_status,
        abort_requested = false,
        attempts = job.attempts + given.counted,
        scheduled_at = CASE
            WHEN given.status <> 'todo' THEN job.scheduled_at
            WHEN given.pause > 0 THEN statement_timestamp() + given.pause * interval '1 s'
        END,
        queueing_lock = CASE WHEN given.status = 'todo' AND EXISTS (
            SELECT FROM procrastinate_jobs AS other
            WHERE other.queueing_lock = job.queueing_lock AND other.status = 'todo'
        ) THEN NULL ELSE job.queueing_lock END
    FROM given
    WHERE job.id = given.id AND job.worker_id = %(worker_id)s AND job.status = 'doing'
    RETURNING job.id
), kept AS (
    INSERT INTO task_runs (job_id, {_RUN}, updated_at)
    SELECT id, {_RUN}, statement_timestamp() FROM given JOIN mine USING (id) WHERE keep
    ON CONFLICT (job_id) DO UPDATE SET {_KEEP}
)
SELECT id FROM mine
""",
    ),
    held="SELECT id FROM procrastinate_jobs WHERE worker_id = %(worker_id)s AND status = 'doing'",
    place="SELECT place FROM task_runs WHERE job_id = %(job_id)s",
    report="""
INSERT INTO task_runs (job_id, done, total, message, updated_at)
SELECT id, %(done)s, %(total)s, %(message)s, statement_timestamp() FROM procrastinate_jobs
WHERE id = %(job_id)s AND worker_id = %(worker_id)s AND status = 'doing'
ON CONFLICT (job_id) DO UPDATE SET done = excluded.done, total = excluded.total, message = excluded.message,
    updated_at = excluded.updated_at
RETURNING job_id
""",
    save_place="""
INSERT INTO task_runs (job_id, place, updated_at)
SELECT id, %(place)s::jsonb, statement_timestamp() FROM procrastinate_jobs
WHERE id = %(job_id)s AND worker_id = %(worker_id)s AND status = 'doing'
ON CONFLICT (job_id) DO UPDATE SET place = excluded.place, updated_at = excluded.updated_at
RETURNING job_id
""",
    heartbeat="""
UPDATE procrastinate_workers SET last_heartbeat = statement_timestamp() WHERE id = %(worker_id)s RETURNING id
""",
    stalled=f"""
SELECT id, task_name, attempts, abort_requested FROM procrastinate_jobs AS job
WHERE status = 'doing' AND NOT {_POSTGRESQL_ALIVE}
""",
    take_over=f"""
UPDATE procrastinate_jobs AS job SET
    status = %(status)s::procrastinate_job_status, worker_id = NULL, abort_requested = false, scheduled_at = NULL,
    attempts = attempts + 1,
    queueing_lock = CASE WHEN %(status)s::text = 'todo' AND EXISTS (
        SELECT FROM procrastinate_jobs AS other
        WHERE other.queueing_lock = job.queueing_lock AND other.status = 'todo'
    ) THEN NULL ELSE queueing_lock END
WHERE id = %(job_id)s AND status = 'doing' AND NOT {_POSTGRESQL_ALIVE}
RETURNING id
""",
    note="""
INSERT INTO task_runs (job_id, error, updated_at) VALUES (%(job_id)s, %(error)s, statement_timestamp())
ON CONFLICT (job_id) DO UPDATE SET error = excluded.error, updated_at = excluded.updated_at
""",
)

_NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
_GIVEN = "(SELECT " + ", ".join(
    [f"json_extract(value, '$.{name}') AS {name}" for name in
     ("id", "status", "counted", "pause", "keep", "done", "total", "message", "error")]
    + ["nullif(value -> '$.result', 'null') AS result"]
) + " FROM json_each(:outcomes)) AS given"  # fmt: skip
_SQLITE_ALIVE = """EXISTS (
    SELECT 1 FROM procrastinate_workers AS worker WHERE worker.id = job.worker_id
    AND worker.last_heartbeat >= strftime('%Y-%m-%d %H:%M:%f000', 'now', format('%+f seconds', -:stalled_after))
)"""

SQLITE = Statements(
    fetch=f"""
UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker_id
WHERE id IN (
    SELECT id FROM procrastinate_jobs AS job
    WHERE status = 'todo'
    AND (:queues IS NULL OR queue_name IN (SELECT value FROM json_each(:queues)))
    AND (scheduled_at IS NULL OR scheduled_at <= {_NOW})
    AND (lock IS NULL OR (
        NOT EXISTS (SELECT 1 FROM procrastinate_jobs AS other WHERE other.status = 'doing' AND other.lock = job.lock)
        AND id = (
            SELECT id FROM procrastinate_jobs AS other WHERE other.status = 'todo' AND other.lock = job.lock
            ORDER BY priority DESC, id LIMIT 1
        )
    ))
    ORDER BY priority DESC, id LIMIT :limit
)
RETURNING {_JOB}
""",
    claim=f"""
UPDATE procrastinate_jobs AS job SET status = 'doing', worker_id = :worker_id, scheduled_at = NULL
WHERE id = :job_id AND status = 'todo' AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs AS other WHERE other.lock = job.lock AND other.status = 'doing'
)
RETURNING {_JOB}
""",
    finish=(
        f"""
INSERT INTO task_runs (job_id, {_RUN}, updated_at)
SELECT given.id, {", ".join("given." + name for name in _RUN.split(", "))}, {_NOW}
FROM {_GIVEN} JOIN procrastinate_jobs AS job ON job.id = given.id
WHERE given.keep AND job.worker_id = :worker_id AND job.status = 'doing'
ON CONFLICT (job_id) DO UPDATE SET {_KEEP}
""",
        f"""
UPDATE procrastinate_jobs AS job SET
    status = CASE WHEN given.status = 'todo' AND job.abort_requested THEN 'aborted' ELSE given.status END,
    abort_requested = 0,
    attempts = job.attempts + given.counted,
    scheduled_at = CASE
        WHEN given.status <> 'todo' THEN job.scheduled_at
        WHEN given.pause > 0 THEN strftime('%Y-%m-%d %H:%M:%f000', 'now', format('%+f seconds', given.pause))
    END,
    queueing_lock = CASE WHEN given.status = 'todo' AND EXISTS (
        SELECT 1 FROM procrastinate_jobs AS other
        WHERE other.queueing_lock = job.queueing_lock AND other.status = 'todo'
    ) THEN NULL ELSE job.queueing_lock END
FROM {_GIVEN}
WHERE job.id = given.id AND job.worker_id = :worker_id AND job.status = 'doing'
RETURNING id
""",
    ),
    held="SELECT id FROM procrastinate_jobs WHERE worker_id = :worker_id AND status = 'doing'",
    place="SELECT place FROM task_runs WHERE job_id = :job_id",
    report=f"""
INSERT INTO task_runs (job_id, done, total, message, updated_at)
SELECT id, :done, :total, :message, {_NOW} FROM procrastinate_jobs
WHERE id = :job_id AND worker_id = :worker_id AND status = 'doing'
ON CONFLICT (job_id) DO UPDATE SET done = excluded.done, total = excluded.total, message = excluded.message,
    updated_at = excluded.updated_at
RETURNING job_id
""",
    save_place=f"""
INSERT INTO task_runs (job_id, place, updated_at)
SELECT id, :place, {_NOW} FROM procrastinate_jobs
WHERE id = :job_id AND worker_id = :worker_id AND status = 'doing'
ON CONFLICT (job_id) DO UPDATE SET place = excluded.place, updated_at = excluded.updated_at
RETURNING job_id
""",
    heartbeat=f"UPDATE procrastinate_workers SET last_heartbeat = {_NOW} WHERE id = :worker_id RETURNING id",
    stalled=f"""
SELECT id, task_name, attempts, abort_requested FROM procrastinate_jobs AS job
WHERE status = 'doing' AND NOT {_SQLITE_ALIVE}
""",
    take_over=f"""
UPDATE procrastinate_jobs AS job SET
    status = :status, worker_id = NULL, abort_requested = 0, scheduled_at = NULL, attempts = attempts + 1,
    queueing_lock = CASE WHEN :status = 'todo' AND EXISTS (
        SELECT 1 FROM procrastinate_jobs AS other
        WHERE other.queueing_lock = job.queueing_lock AND other.status = 'todo'
    ) THEN NULL ELSE queueing_lock END
WHERE id = :job_id AND status = 'doing' AND NOT {_SQLITE_ALIVE}
RETURNING id
""",
    note=f"""
INSERT INTO task_runs (job_id, error, updated_at) VALUES (:job_id, :error, {_NOW})
ON CONFLICT (job_id) DO UPDATE SET error = excluded.error, updated_at = excluded.updated_at
""",
)
