"""The two statements that take and end many jobs at once, for each kind of database.

Both change only what is this worker's: a process that was frozen, and whose jobs others have taken over, changes
nothing.

A job that has ended is no worker's. Otherwise the end of a worker, whose row goes, would write each job that it has
done once more.
"""

# ruff: noqa: S608 - put together of constants of this module, and nothing else

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlalchemy.sql.selectable import TextualSelect

from fastopp.tasks.models import jobs


@dataclass(frozen=True, slots=True)
class Statements:
    """For one kind of database."""

    fetch: TextualSelect
    """Take up to `limit` jobs of `queues`, a JSON list, or of any queue."""
    finish: TextClause
    """Write `outcomes`, a JSON list; returns the ids of the jobs that were still the worker's."""
    keep: TextClause | None = None
    """Write the reports of `outcomes`, before `finish`, where that cannot."""


_JOB = (jobs.c.id, jobs.c.task_name, jobs.c.args, jobs.c.attempts, jobs.c.lock, jobs.c.priority)
_RUN = "done, total, message, result, error"
_KEEP = ", ".join(f"{name} = excluded.{name}" for name in (*_RUN.split(", "), "updated_at"))

POSTGRESQL = Statements(
    # What procrastinate's function looks for, for many jobs at once. The function, called for each, keeps the rows that
    # others have just changed locked until the last call, and they wait: of four workers each waited for three.
    fetch=text(f"""
WITH candidate AS MATERIALIZED (
    SELECT id FROM procrastinate_jobs AS job
    WHERE status = 'todo'
    AND (CAST(:queues AS jsonb) IS NULL OR CAST(:queues AS jsonb) ? queue_name)
    AND (scheduled_at IS NULL OR scheduled_at <= statement_timestamp())
    AND (lock IS NULL OR NOT EXISTS (
        SELECT FROM procrastinate_jobs AS other WHERE other.lock = job.lock AND (
            other.status = 'doing' OR other.status = 'todo'
            AND (other.priority > job.priority OR other.priority = job.priority AND other.id < job.id)
        )
    ))
    ORDER BY priority DESC, id LIMIT :limit
    FOR UPDATE OF job SKIP LOCKED
)
UPDATE procrastinate_jobs AS job SET status = 'doing', worker_id = :worker_id
WHERE id = ANY (ARRAY(SELECT id FROM candidate))
RETURNING {", ".join(f"job.{column.name}" for column in _JOB)}
""").columns(*_JOB),
    finish=text(f"""
WITH given AS (
    SELECT * FROM jsonb_to_recordset(CAST(:outcomes AS jsonb)) AS x(
        id bigint, status text, counted int, pause float8, keep boolean,
        done bigint, total bigint, message text, result jsonb, error text
    )
), mine AS (
    UPDATE procrastinate_jobs AS job SET
        status = CAST(CASE WHEN given.status = 'todo' AND job.abort_requested THEN 'aborted' ELSE given.status END
            AS procrastinate_job_status),
        worker_id = NULL,
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
    WHERE job.id = given.id AND job.worker_id = :worker_id AND job.status = 'doing'
    RETURNING job.id
), kept AS (
    INSERT INTO task_runs (job_id, {_RUN}, updated_at)
    SELECT id, {_RUN}, statement_timestamp() FROM given JOIN mine USING (id) WHERE keep
    ON CONFLICT (job_id) DO UPDATE SET {_KEEP}
)
SELECT id FROM mine
"""),
)

_NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
_GIVEN = "(SELECT " + ", ".join(
    [f"json_extract(value, '$.{name}') AS {name}" for name in
     ("id", "status", "counted", "pause", "keep", "done", "total", "message", "error")]
    + ["nullif(value -> '$.result', 'null') AS result"]
) + " FROM json_each(:outcomes)) AS given"  # fmt: skip

SQLITE = Statements(
    fetch=text(f"""
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
RETURNING {", ".join(column.name for column in _JOB)}
""").columns(*_JOB),
    keep=text(f"""
INSERT INTO task_runs (job_id, {_RUN}, updated_at)
SELECT given.id, {", ".join("given." + name for name in _RUN.split(", "))}, {_NOW}
FROM {_GIVEN} JOIN procrastinate_jobs AS job ON job.id = given.id
WHERE given.keep AND job.worker_id = :worker_id AND job.status = 'doing'
ON CONFLICT (job_id) DO UPDATE SET {_KEEP}
"""),
    finish=text(f"""
UPDATE procrastinate_jobs AS job SET
    status = CASE WHEN given.status = 'todo' AND job.abort_requested THEN 'aborted' ELSE given.status END,
    worker_id = NULL,
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
"""),
)
