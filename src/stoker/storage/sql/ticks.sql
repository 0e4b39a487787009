-- What the scheduler's ticks look for. They pick ids without locks; the verbs guard what they then do.

-- name: expired_sessions
SELECT id FROM session WHERE until < :now AND ended_at IS NULL ORDER BY until LIMIT :limit;

-- name: expired_among
-- Which of these sessions are over, since when, and whether they hold leases that end with them.
SELECT id, until, EXISTS (
    SELECT 1 FROM task AS t WHERE t.session = session.id AND t.state = 2 AND t.until IS NULL) FROM session
WHERE id = ANY(:ids) AND until < :now AND ended_at IS NULL;

-- name: leases_of
-- The attempts that sessions hold: task, attempt, session, answer.
SELECT id, attempt, session, answer FROM task
WHERE state = 2 AND session = ANY(:sessions) LIMIT :limit;

-- name: reapable
-- Of those, the ones that end with their session.
SELECT id, attempt, session, answer FROM task
WHERE state = 2 AND session = ANY(:sessions) AND until IS NULL LIMIT :limit;

-- name: stops
-- Which attempts of a session are to be stopped.
SELECT t.id, t.attempt FROM task AS t JOIN run AS r ON r.id = t.run
WHERE t.session = :session AND t.state = 2 AND (r.stopping > 0 OR t.cancel_at IS NOT NULL);

-- name: leases_of_run
SELECT DISTINCT session FROM task WHERE run = :run AND state = 2 AND until IS NULL;

-- name: due_tasks
SELECT id FROM task WHERE state = 1 AND due_at IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT :limit;

-- name: overdue_tasks
SELECT id FROM task WHERE state <= 2 AND deadline IS NOT NULL AND deadline <= :now ORDER BY deadline LIMIT :limit;

-- name: stopping_runs
SELECT id FROM run WHERE stopping > 0 ORDER BY id LIMIT :limit;

-- name: sweepable
-- Tasks of a stopping run: READY ones and those that the engine holds, others that are LEASED only when the grace is over.
SELECT id FROM task WHERE run = :run AND state <= 2 AND (state <= :most OR session IS NULL)
  AND NOT (session IS NULL AND state = 2 AND EXISTS (SELECT 1 FROM run AS c WHERE c.parent = task.id AND c.state = 1))
ORDER BY state LIMIT :limit;

-- name: running_children
-- Child runs that tasks of a run wait for, and that have not been told to stop.
SELECT c.id FROM task AS t JOIN run AS c ON c.parent = t.id
WHERE t.run = :run AND t.state = 2 AND t.session IS NULL AND c.state = 1 AND c.stopping = 0 LIMIT :limit;

-- name: ahead
-- The earliest end of a session, delay and time limit; since when a run is to be swept; whether a fan-out is to be spread;
-- when the next schedule is due.
SELECT (SELECT MIN(until) FROM session WHERE ended_at IS NULL),
       (SELECT MIN(due_at) FROM task WHERE state = 1 AND due_at IS NOT NULL),
       (SELECT MIN(deadline) FROM task WHERE state <= 2 AND deadline IS NOT NULL),
       (SELECT MIN(cancel_at) FROM run WHERE stopping > 0),
       (SELECT MIN(id) FROM spread WHERE state = 1),
       (SELECT MIN(next_at) FROM schedule WHERE next_at IS NOT NULL);

-- name: idle_among
-- Which of these sessions hold nothing and end before a time, and when.
SELECT id, until FROM session AS s WHERE id = ANY(:ids) AND until < :before
  AND NOT EXISTS (SELECT 1 FROM task AS t WHERE t.session = s.id AND t.state = 2 AND t.until IS NULL);

-- name: insert_session
-- Two first calls of a session may meet: one of them makes the row.
INSERT INTO session (id, namespace, secret, info, started_at, until) VALUES
    (:id, :namespace, :secret, :info, :started_at, :until)
ON CONFLICT (secret) DO NOTHING;

-- name: session_ends
-- Until when sessions are promised their leases; 0: they ended.
SELECT id, CASE WHEN ended_at IS NULL THEN until ELSE 0 END FROM session WHERE id = ANY(:ids);

-- name: session_by_secret
SELECT id, namespace, info, until, ended_at FROM session WHERE secret = :secret;

-- name: update_session_info
UPDATE session SET info = :info, ended_at = NULL WHERE id = :id;

-- name: take_ids
-- Reserve a block of a sequence; gives its end.
INSERT INTO sequence (name, next) VALUES (:name, 1 + CAST(:count AS BIGINT))
ON CONFLICT (name) DO UPDATE SET next = sequence.next + :count
RETURNING next;

-- name: give_back_ids
UPDATE sequence SET next = :next WHERE name = :name AND next = :end;

-- name: at_work
-- Whether a task stands READY and is due, or is leased to a runner: something goes on without any time being up.
SELECT EXISTS (SELECT 1 FROM task WHERE state = 1 AND due_at IS NULL AND lane IS NOT NULL)
    OR EXISTS (SELECT 1 FROM task WHERE state = 2 AND session IS NOT NULL);

-- name: own_leases
-- What sessions hold by leases of their own.
SELECT id FROM task WHERE state = 2 AND session = ANY(:sessions) AND until IS NOT NULL LIMIT :limit;
