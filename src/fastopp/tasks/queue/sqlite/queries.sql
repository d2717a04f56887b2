-- Procrastinate's queries for SQLite, in the format of its own queries.sql and under the same names where one statement
-- is enough; queries.py puts the others together.
--
-- "Now", where moments are compared, is the end of the current millisecond: the clock counts milliseconds, an
-- application's moments microseconds, and a job for now is due now.

-- insert_jobs --
-- One statement with one parameter: it is atomic without a transaction, whatever the number of jobs.
INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
SELECT value ->> 'queue_name', value ->> 'task_name', value ->> 'priority', value ->> 'lock',
    value ->> 'queueing_lock', value ->> 'args', value ->> 'scheduled_at'
FROM json_each(:jobs) WHERE true ORDER BY key
RETURNING id

-- find_queueing_lock --
-- Whether a waiting job has a queueing lock
SELECT 1 FROM procrastinate_jobs WHERE status = 'todo' AND queueing_lock = :queueing_lock

-- get_queueing_lock --
-- A job's queueing lock
SELECT queueing_lock FROM procrastinate_jobs WHERE id = :job_id

-- insert_periodic_defer --
-- Take a slot of a periodic task; no row when it, or a newer one that made it be forgotten, is taken
INSERT INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp)
SELECT :task_name, :periodic_id, :defer_timestamp WHERE NOT EXISTS (
    SELECT 1 FROM procrastinate_periodic_defers
    WHERE task_name = :task_name AND periodic_id = :periodic_id AND defer_timestamp >= :defer_timestamp
) RETURNING id

-- link_periodic_defer --
-- Note the job of a slot
UPDATE procrastinate_periodic_defers SET job_id = :job_id WHERE id = :id

-- delete_periodic_defers --
-- Forget earlier slots
DELETE FROM procrastinate_periodic_defers
WHERE task_name = :task_name AND periodic_id = :periodic_id AND defer_timestamp < :defer_timestamp

-- fetch_job --
-- Take the first job that may run: of those with a lock, the first of its lock, when none of them runs
UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker_id
WHERE id = (
    SELECT id FROM procrastinate_jobs AS job
    WHERE status = 'todo'
    AND (:queues IS NULL OR queue_name IN (SELECT value FROM json_each(:queues)))
    AND (scheduled_at IS NULL OR scheduled_at <= strftime('%Y-%m-%d %H:%M:%f999', 'now'))
    AND (lock IS NULL OR (
        NOT EXISTS (SELECT 1 FROM procrastinate_jobs AS other WHERE other.status = 'doing' AND other.lock = job.lock)
        AND id = (
            SELECT id FROM procrastinate_jobs AS other WHERE other.status = 'todo' AND other.lock = job.lock
            ORDER BY priority DESC, id LIMIT 1
        )
    ))
    ORDER BY priority DESC, id LIMIT 1
)
RETURNING id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id

-- finish_job --
-- Finish a job; no row when it is neither waiting nor running
UPDATE procrastinate_jobs SET status = :status, abort_requested = 0, attempts = attempts + (status = 'doing')
WHERE id = :job_id AND status IN ('todo', 'doing') RETURNING id

-- finish_job_deleting --
-- Delete a job that has finished
DELETE FROM procrastinate_jobs WHERE id = :job_id AND status IN ('todo', 'doing') RETURNING id

-- cancel_job_deleting --
-- Delete a waiting job
DELETE FROM procrastinate_jobs WHERE id = :job_id AND status = 'todo' RETURNING id

-- cancel_job --
-- Cancel a waiting job
UPDATE procrastinate_jobs SET status = 'cancelled' WHERE id = :job_id AND status = 'todo' RETURNING id

-- abort_job --
-- Cancel a waiting job, or ask a running one to abort
UPDATE procrastinate_jobs
SET abort_requested = 1, status = CASE status WHEN 'todo' THEN 'cancelled' ELSE status END
WHERE id = :job_id AND status IN ('todo', 'doing') RETURNING id

-- retry_job --
-- Put a job back that failed, or runs and is not asked to abort
UPDATE procrastinate_jobs
SET status = 'todo', attempts = attempts + 1, scheduled_at = :retry_at, priority = coalesce(:new_priority, priority),
    queue_name = coalesce(:new_queue_name, queue_name), lock = coalesce(:new_lock, lock)
WHERE id = :job_id AND (status = 'failed' OR (status = 'doing' AND NOT abort_requested)) RETURNING id

-- retry_aborted_job --
-- A running job that is asked to abort fails instead
UPDATE procrastinate_jobs SET status = 'failed'
WHERE id = :job_id AND status = 'doing' AND abort_requested RETURNING id

-- get_job_status --
-- The status of a job
SELECT status FROM procrastinate_jobs WHERE id = :job_id

-- delete_old_jobs --
-- Delete some jobs whose last event is that old
DELETE FROM procrastinate_jobs WHERE id IN (
    SELECT id FROM procrastinate_jobs AS job
    WHERE id > :after AND status IN (SELECT value FROM json_each(:statuses)) AND (:queue IS NULL OR queue_name = :queue)
    AND (SELECT max(at) FROM procrastinate_events WHERE job_id = job.id)
        < strftime('%Y-%m-%d %H:%M:%f999', 'now', printf('%+.3f hours', -:nb_hours))
    ORDER BY id LIMIT 1000
)
RETURNING id

-- select_stalled_jobs_by_started --
-- Running jobs that started more than a given time ago
SELECT job.id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id,
    max(event.at) AS started_at
FROM procrastinate_jobs AS job JOIN procrastinate_events AS event ON event.job_id = job.id
WHERE event.type = 'started' AND job.status = 'doing'
AND (:queue IS NULL OR job.queue_name = :queue) AND (:task_name IS NULL OR job.task_name = :task_name)
GROUP BY job.id
HAVING max(event.at) < strftime('%Y-%m-%d %H:%M:%f999', 'now', printf('%+.3f seconds', -:nb_seconds))
ORDER BY job.id

-- select_stalled_jobs_by_heartbeat --
-- Running jobs of workers that are gone or have not given a sign of life for a given time
SELECT id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id
FROM procrastinate_jobs
WHERE status = 'doing'
AND (:queue IS NULL OR queue_name = :queue) AND (:task_name IS NULL OR task_name = :task_name)
AND (worker_id IS NULL OR worker_id IN (
    SELECT id FROM procrastinate_workers
    WHERE last_heartbeat < strftime('%Y-%m-%d %H:%M:%f999', 'now', printf('%+.3f seconds', -:seconds_since_heartbeat))
))
ORDER BY id

-- list_jobs_to_abort --
-- Running jobs that are asked to abort
SELECT id FROM procrastinate_jobs
WHERE status = 'doing' AND abort_requested AND (:queue_name IS NULL OR queue_name = :queue_name)
ORDER BY id

-- count_jobs_status --
-- Jobs by status
SELECT count(*) AS count, status FROM procrastinate_jobs GROUP BY status

-- check_connection --
-- The name of the table of jobs, or NULL when it is not there
SELECT (SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'procrastinate_jobs') AS "check"

-- register_worker --
-- A new worker
INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id AS worker_id

-- unregister_worker --
-- A worker is gone
DELETE FROM procrastinate_workers WHERE id = :worker_id

-- update_heartbeat --
-- A worker's sign of life
UPDATE procrastinate_workers SET last_heartbeat = strftime('%Y-%m-%d %H:%M:%f000', 'now') WHERE id = :worker_id

-- prune_stalled_workers --
-- Workers without a sign of life for a given time are gone
DELETE FROM procrastinate_workers
WHERE last_heartbeat < strftime('%Y-%m-%d %H:%M:%f999', 'now', printf('%+.3f seconds', -:seconds_since_heartbeat))
RETURNING id AS worker_id
