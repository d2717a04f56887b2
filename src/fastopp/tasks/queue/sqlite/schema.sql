-- procrastinate's tables for SQLite (3.38 or later): the same tables, columns, constraints and events as its own
-- schema.sql has for PostgreSQL.
--
-- A moment is a text of one shape, `YYYY-MM-DD HH:MM:SS.ffffff` in UTC, so that texts compare as moments do. It is what
-- SQLAlchemy's DateTime writes and reads. The database's clock counts milliseconds.
--
-- What functions and foreign keys do on PostgreSQL, triggers do here: they also work for a client that has left
-- `PRAGMA foreign_keys` off.

CREATE TABLE procrastinate_workers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    last_heartbeat DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now'))
        CHECK (last_heartbeat LIKE '____-__-__ __:__:__.______')
);

CREATE TABLE procrastinate_jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue_name VARCHAR(128) NOT NULL CHECK (length(queue_name) <= 128),
    task_name VARCHAR(128) NOT NULL CHECK (length(task_name) <= 128),
    priority INTEGER NOT NULL DEFAULT 0 CHECK (typeof(priority) = 'integer'),
    lock TEXT,
    queueing_lock TEXT,
    args JSON NOT NULL DEFAULT '{}' CHECK (json_valid(args) AND json_type(args) = 'object'),
    status VARCHAR(16) NOT NULL DEFAULT 'todo'
        CHECK (status IN ('todo', 'doing', 'succeeded', 'failed', 'cancelled', 'aborting', 'aborted')),
    scheduled_at DATETIME CHECK (scheduled_at LIKE '____-__-__ __:__:__.______'),
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (typeof(attempts) = 'integer'),
    abort_requested BOOLEAN NOT NULL DEFAULT 0 CHECK (abort_requested IN (0, 1)),
    worker_id INTEGER REFERENCES procrastinate_workers (id) ON DELETE SET NULL,
    CONSTRAINT check_not_todo_abort_requested CHECK (NOT (status = 'todo' AND abort_requested = 1))
);

CREATE TABLE procrastinate_periodic_defers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_name VARCHAR(128) NOT NULL CHECK (length(task_name) <= 128),
    defer_timestamp BIGINT,
    job_id INTEGER REFERENCES procrastinate_jobs (id),
    periodic_id VARCHAR(128) NOT NULL DEFAULT '' CHECK (length(periodic_id) <= 128),
    CONSTRAINT procrastinate_periodic_defers_unique UNIQUE (task_name, periodic_id, defer_timestamp)
);

CREATE TABLE procrastinate_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL REFERENCES procrastinate_jobs (id) ON DELETE CASCADE,
    type VARCHAR(32) CHECK (type IN ('deferred', 'started', 'deferred_for_retry', 'failed', 'succeeded', 'cancelled',
                                     'abort_requested', 'aborted', 'scheduled', 'retried')),
    at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) CHECK (at LIKE '____-__-__ __:__:__.______')
);

-- One job at most waits with a queueing lock, and one at most runs with a lock.
CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON procrastinate_jobs (queueing_lock)
    WHERE status = 'todo' AND queueing_lock IS NOT NULL;
CREATE UNIQUE INDEX procrastinate_jobs_lock_idx_v1 ON procrastinate_jobs (lock)
    WHERE status = 'doing' AND lock IS NOT NULL;

-- The queue, in the order in which jobs are taken. It holds all that decides whether a job may be, so that passing over
-- many that may not reads nothing else (SQLite does not infer the status from the condition).
CREATE INDEX procrastinate_jobs_priority_idx_v1
    ON procrastinate_jobs (priority DESC, id, queue_name, scheduled_at, lock, status)
    WHERE status = 'todo';

-- Who is before a job among those with its lock.
CREATE INDEX procrastinate_jobs_id_lock_idx_v1 ON procrastinate_jobs (lock, priority DESC, id)
    WHERE status = 'todo' AND lock IS NOT NULL;

-- Running jobs: those that have stalled, and those to abort.
CREATE INDEX procrastinate_jobs_doing_idx ON procrastinate_jobs (status, worker_id) WHERE status = 'doing';

CREATE INDEX idx_procrastinate_jobs_worker_not_null ON procrastinate_jobs (worker_id) WHERE worker_id IS NOT NULL;
CREATE INDEX procrastinate_jobs_queue_name_idx_v1 ON procrastinate_jobs (queue_name);
CREATE INDEX procrastinate_events_job_id_fkey_v1 ON procrastinate_events (job_id);
CREATE INDEX procrastinate_periodic_defers_job_id_fkey_v1 ON procrastinate_periodic_defers (job_id);
CREATE INDEX idx_procrastinate_workers_last_heartbeat ON procrastinate_workers (last_heartbeat);

CREATE TRIGGER procrastinate_trigger_events_insert_v1
    AFTER INSERT ON procrastinate_jobs WHEN NEW.status = 'todo'
BEGIN
    INSERT INTO procrastinate_events (job_id, type, at)
        SELECT NEW.id, 'scheduled', NEW.scheduled_at WHERE NEW.scheduled_at IS NOT NULL;
    INSERT INTO procrastinate_events (job_id, type) VALUES (NEW.id, 'deferred');
END;

-- BEFORE, since among AFTER triggers the order is not defined and this event comes first.
CREATE TRIGGER procrastinate_trigger_abort_requested_events_v1
    BEFORE UPDATE OF abort_requested ON procrastinate_jobs WHEN NEW.abort_requested
BEGIN
    INSERT INTO procrastinate_events (job_id, type) VALUES (NEW.id, 'abort_requested');
END;

CREATE TRIGGER procrastinate_trigger_events_update_v1
    AFTER UPDATE ON procrastinate_jobs
    WHEN NEW.status <> OLD.status OR (NEW.status = 'todo' AND NEW.scheduled_at IS NOT NULL)
BEGIN
    INSERT INTO procrastinate_events (job_id, type, at)
        SELECT NEW.id, 'scheduled', NEW.scheduled_at WHERE NEW.status = 'todo' AND NEW.scheduled_at IS NOT NULL;
    INSERT INTO procrastinate_events (job_id, type)
        SELECT NEW.id, event FROM (
            SELECT CASE OLD.status || ' ' || NEW.status
                WHEN 'todo doing' THEN 'started'
                WHEN 'doing todo' THEN 'deferred_for_retry'
                WHEN 'doing failed' THEN 'failed'
                WHEN 'doing succeeded' THEN 'succeeded'
                WHEN 'doing aborted' THEN 'aborted'
                WHEN 'todo cancelled' THEN 'cancelled'
                WHEN 'todo failed' THEN 'cancelled'
                WHEN 'todo succeeded' THEN 'cancelled'
                WHEN 'failed todo' THEN 'retried'
            END AS event
        ) WHERE event IS NOT NULL;
END;

CREATE TRIGGER procrastinate_trigger_delete_jobs_v1
    BEFORE DELETE ON procrastinate_jobs
BEGIN
    UPDATE procrastinate_periodic_defers SET job_id = NULL WHERE job_id = OLD.id;
    DELETE FROM procrastinate_events WHERE job_id = OLD.id;
END;

CREATE TRIGGER procrastinate_trigger_delete_workers_v1
    BEFORE DELETE ON procrastinate_workers
BEGIN
    UPDATE procrastinate_jobs SET worker_id = NULL WHERE worker_id = OLD.id;
END;
