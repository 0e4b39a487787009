-- Runs as pages of states have them: every attempt that another followed, the present one, and each item beyond the first.

-- name: shift_total
-- Runs came or went otherwise than by being made, so many times `by`. Child runs and those that are hidden do not count.
INSERT INTO run_total (namespace, slot, runs)
SELECT namespace, -1, COUNT(*) * CAST(:by AS BIGINT) FROM run WHERE id = ANY(:runs) AND namespace > 0 AND root IS NULL
GROUP BY namespace
ON CONFLICT (namespace, slot) DO UPDATE SET runs = run_total.runs + excluded.runs;

-- name: run_total
SELECT CAST(COALESCE(SUM(runs), 0) AS BIGINT) FROM run_total WHERE namespace = :namespace;

-- name: run_slice
-- Runs that are not child runs, newest first, behind so many.
SELECT id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at, ended_at,
       cancel_at, weight, root, parent, schedule, scheduled_at, traceparent,
       token
FROM run WHERE namespace = :namespace AND root IS NULL
ORDER BY created_at DESC, id DESC LIMIT :limit OFFSET :skip;

-- name: more_items
-- How many items each of these runs has beyond the first of their tasks.
SELECT run, COUNT(*) FROM item WHERE run = ANY(:runs) AND item > 0 GROUP BY run;

-- name: followed_attempts
-- How many attempts of each of these runs ended so, or in a retry by hand, and another followed.
SELECT f.run, COUNT(*) FROM (
    SELECT a.run, a.task, a.attempt FROM attempt AS a JOIN task AS t ON t.id = a.task
    WHERE a.run = ANY(:runs) AND a.outcome = ANY(:outcomes)
      AND a.attempt < t.attempt + CASE WHEN t.state = 1 THEN 1 ELSE 0 END
    UNION
    SELECT r.run, r.task, r.attempt FROM task_retry AS r JOIN task AS t ON t.id = r.task
    WHERE r.run = ANY(:runs) AND r.attempt < t.attempt + CASE WHEN t.state = 1 THEN 1 ELSE 0 END
) AS f GROUP BY f.run;

-- name: leased_among
SELECT run, COUNT(*) FROM task WHERE run = ANY(:runs) AND state <= 2 AND state = 2 GROUP BY run;

-- name: bad_among
-- How many tasks of each node of these runs stand in these states, those included that a spread row stands for.
SELECT run, node, COUNT(*) FROM task WHERE run = ANY(:runs) AND state = ANY(:states) GROUP BY run, node
UNION ALL
SELECT run, node, CAST(SUM(tasks) AS BIGINT) FROM spread WHERE run = ANY(:runs) AND state = ANY(:states)
GROUP BY run, node;

-- name: state_counts
-- How many tasks of a run stand where, those included that a spread row stands for.
SELECT state, COUNT(*) FROM task WHERE run = :run GROUP BY state
UNION ALL
SELECT state, CAST(SUM(tasks) AS BIGINT) FROM spread WHERE run = :run GROUP BY state;

-- name: run_tasks_first
-- The first tasks of a run, by node and branch.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
       gate, expires_at, cancel_at, until
FROM task WHERE run = :run ORDER BY node, branch, generation LIMIT :limit;

-- name: counts_of_items
-- How many items beyond the first the tasks of a run have, by their place; the first places.
SELECT node, branch, COUNT(*) FROM item WHERE run = :run AND item > 0
GROUP BY node, branch ORDER BY node, branch LIMIT :limit;

-- name: one_item
SELECT run, node, branch, item, size, body, blob
FROM item WHERE run = :run AND node = :node AND branch = :branch AND item = :number;

-- name: ends_of
-- How the attempts of these tasks ended that did not settle their task well, oldest first; messages cut.
SELECT task, attempt, outcome, code, SUBSTR(message, 1, CAST(:cut AS INTEGER)), started_at, ended_at FROM attempt
WHERE task = ANY(:tasks) ORDER BY id;

-- name: retries_of
-- Which attempts of these tasks were retried by hand.
SELECT task, attempt FROM task_retry WHERE run = :run AND task = ANY(:tasks) ORDER BY task, attempt;

-- name: retry_named
-- Whether a task was retried with this key.
SELECT attempt FROM task_retry WHERE run = :run AND task = :task AND name = :name;

-- name: insert_task_retry
INSERT INTO task_retry (run, task, attempt, name, at) VALUES (:run, :task, :attempt, :name, :at)
ON CONFLICT (run, task, attempt) DO UPDATE SET name = excluded.name, at = excluded.at;

-- name: erase_task_retry
DELETE FROM task_retry WHERE (run, task, attempt) IN (
    SELECT run, task, attempt FROM task_retry WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: ready_kinds
-- How many tasks of each kind of a namespace may be claimed now.
SELECT l.kind, COUNT(*) FROM lane AS l JOIN task AS t ON t.lane = l.id
WHERE l.namespace = :namespace AND t.state = 1 AND t.due_at IS NULL GROUP BY l.kind;

-- name: leased_kinds
-- How many of them are being run.
SELECT l.kind, COUNT(*) FROM task AS t JOIN lane AS l ON l.id = t.lane
WHERE t.state = 2 AND t.session IS NOT NULL AND l.namespace = :namespace GROUP BY l.kind;
