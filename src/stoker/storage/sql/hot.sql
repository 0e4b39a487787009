-- The statements that every task passes through. Parameters are bound in the order in which they first appear.

-- name: tasks
-- Whole tasks by id.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
       gate, expires_at, cancel_at, until
FROM task WHERE id = ANY(:ids);

-- name: runs
-- Whole runs by id.
SELECT id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at, ended_at,
       cancel_at, weight, root, parent, schedule, scheduled_at, traceparent,
       token
FROM run WHERE id = ANY(:ids);

-- name: items_below
-- All items of a node below a branch, in branch order.
SELECT run, node, branch, item, size, body, blob
FROM item WHERE run = :run AND node = :node AND branch >= :prefix AND branch < :end
ORDER BY branch, item;

-- name: items_after
-- The next items of a node below a branch, in branch order, behind the item last seen.
SELECT run, node, branch, item, size, body, blob
FROM item WHERE run = :run AND node = :node AND (branch, item) > (:branch, :item) AND branch < :end
ORDER BY branch, item LIMIT :limit;

-- name: size_below
-- How many bytes the items of a node below a branch have.
SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT), COUNT(*)
FROM item WHERE run = :run AND node = :node AND branch >= :prefix AND branch < :end;

-- name: run_inputs
-- The inputs of runs.
SELECT run, body FROM run_input WHERE run = ANY(:runs);

-- name: run_stores
-- What each run was given as its store, if anything.
SELECT run, body FROM run_store WHERE run = ANY(:runs);

-- name: insert_run_key
INSERT INTO run_key (namespace, name, run, hash) VALUES (:namespace, :name, :run, :hash);

-- name: run_key
SELECT run, hash FROM run_key WHERE namespace = :namespace AND name = :name;

-- name: put_progress
INSERT INTO progress (task, run, attempt, fraction, message)
VALUES (:task, :run, :attempt, :fraction, :message)
ON CONFLICT (task) DO UPDATE SET attempt = excluded.attempt, fraction = excluded.fraction, message = excluded.message;

-- name: insert_log
-- A repeated chunk is kept once.
INSERT INTO log (run, task, attempt, seq, stream, at, text, total)
VALUES (:run, :task, :attempt, :seq, :stream, :at, :text, :total)
ON CONFLICT (task, attempt, seq) DO NOTHING;

-- name: logs_grown
-- The last chunk of each of these tasks.
SELECT t.id, l.attempt, l.seq, l.total FROM task AS t
JOIN log AS l ON l.id = (SELECT id FROM log WHERE task = t.id ORDER BY attempt DESC, seq DESC LIMIT 1)
WHERE t.id = ANY(:tasks);

-- name: gate_leases
-- How many tasks of these gates are being run.
SELECT gate, COUNT(*) FROM task WHERE state <= 2 AND state = 2 AND gate = ANY(:gates) GROUP BY gate;

-- name: put_gate_start
UPDATE gate SET next_at = :next_at WHERE id = :id;

-- name: children
-- The child runs of tasks, each with its task.
SELECT parent, id FROM run WHERE parent = ANY(:tasks);
