-- What people ask: read-only, keyset paged.

-- name: run_page
-- Every run of a namespace, newest first, below a cursor.
SELECT id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at, ended_at,
       cancel_at, weight, root, parent, schedule, scheduled_at, traceparent,
       token
FROM run WHERE namespace = :namespace AND (created_at, id) < (:before_at, :before_id)
ORDER BY created_at DESC, id DESC LIMIT :limit;

-- name: first_ready
-- One READY task of a node: the first that may be claimed, else one that is delayed.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
       gate, expires_at, cancel_at, until
FROM task WHERE run = :run AND node = :node AND state = 1
ORDER BY CASE WHEN due_at IS NULL THEN 0 ELSE 1 END, order_at LIMIT 1;

-- name: tasks_between
-- The first tasks of some nodes that settled in these states, or have this code (if one is asked for), of a stretch of
-- branches.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
       gate, expires_at, cancel_at, until
FROM task WHERE run = :run AND node = ANY(:nodes) AND branch >= :begin AND branch < :end AND state = ANY(:states)
  AND (CAST(:code AS TEXT) = '' OR code = :code)
ORDER BY settled_at, id LIMIT :limit;

-- name: open_joins
SELECT run, node, branch, open, members, arrived, empty, failed, state, generation FROM join_row
WHERE run = :run AND state = :state ORDER BY node, branch LIMIT :limit;

-- name: holders
-- The sessions that have tasks of a run, each with how many and since when.
SELECT session, COUNT(*), MIN(claimed_at) FROM task
WHERE run = :run AND state = 2 AND session IS NOT NULL GROUP BY session ORDER BY session;

-- name: run_tasks
-- Every task of a run.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
       gate, expires_at, cancel_at, until
FROM task WHERE run = :run ORDER BY node, branch;

-- name: run_join_rows
SELECT run, node, branch, open, members, arrived, empty, failed, state, generation FROM join_row WHERE run = :run;

-- name: delete_tasks
DELETE FROM task WHERE id = ANY(:ids);

-- name: node_counts
SELECT node, created, succeeded, failed, pruned, cancelled, skipped FROM node_count WHERE run = :run;

-- name: live_counts
SELECT node, state, COUNT(*) FROM task WHERE run = :run AND state <= 2 GROUP BY node, state;

-- name: single_tasks
-- The states of nodes that have at most one task: those at the root of the branch.
SELECT node, state FROM task WHERE run = :run AND branch = :root AND node = ANY(:nodes);

-- name: run_progress
SELECT t.node, AVG(COALESCE(p.fraction, 0)), MAX(p.message) FROM task AS t JOIN progress AS p ON p.task = t.id
WHERE t.run = :run AND t.state = 2 AND p.attempt = t.attempt GROUP BY t.node;

-- name: task_progress
SELECT attempt, fraction, message FROM progress WHERE task = :task;

-- name: run_causes
-- The first failures that settled their task, and cancels of single tasks; not of nodes whose failures do not count.
SELECT t.id, t.node, t.branch, t.attempt, t.code, a.code, a.message, a.type, a.traceback, t.state
FROM task AS t
LEFT JOIN attempt AS a ON a.id = (SELECT MAX(id) FROM attempt WHERE task = t.id AND attempt = t.attempt)
WHERE t.run = :run AND (t.state = 4 OR (t.state = 6 AND t.cancel_at IS NOT NULL)) AND NOT (t.node = ANY(:tolerated))
ORDER BY t.settled_at, t.id LIMIT :limit;

-- name: attempts
SELECT attempt, outcome, code, message, type, traceback, session, started_at, ended_at FROM attempt
WHERE task = :task ORDER BY id;

-- name: attempts_of
-- What is kept of the attempts of these tasks, oldest first.
SELECT task, attempt, outcome, code, message, session, started_at, ended_at FROM attempt
WHERE task = ANY(:tasks) ORDER BY id;

-- name: last_attempt
SELECT attempt, outcome, code, message, type, traceback, session, started_at, ended_at FROM attempt
WHERE task = :task ORDER BY id DESC LIMIT 1;

-- name: ready_lanes
-- How many tasks wait in each lane that has some; so many lanes at most.
SELECT l.id, l.namespace, l.kind, r.tasks
FROM (SELECT lane, COUNT(*) AS tasks FROM task WHERE state = 1 AND due_at IS NULL GROUP BY lane LIMIT :limit) AS r
JOIN lane AS l ON l.id = r.lane;

-- name: log_end
-- The newest chunk of a run; those before it are all there, since who adds some has the lock of the run.
SELECT MAX(id) FROM log WHERE run = :run;

-- part: log_chunk
SELECT l.id, l.task, COALESCE(t.node, p.node), COALESCE(t.branch, p.branch), l.attempt, l.stream, l.at, l.text
FROM log AS l LEFT JOIN task AS t ON t.id = l.task LEFT JOIN past_task AS p ON p.id = l.task

-- part: log_wanted
AND (t.id IS NOT NULL OR p.id IS NOT NULL) AND l.id > :after AND l.id <= :end AND l.at >= :since
AND (:stream = '' OR l.stream = :stream) AND (COALESCE(t.node, p.node) = :node OR :node < 0) ORDER BY l.id LIMIT :limit

-- name: run_logs
<<log_chunk>> WHERE l.run = :run <<log_wanted>>;

-- name: task_logs
<<log_chunk>> WHERE l.task = :task <<log_wanted>>;

-- name: session_infos
SELECT id, info FROM session WHERE id = ANY(:ids);

-- name: sessions
SELECT s.id, s.info, s.started_at, s.until,
       (SELECT COUNT(*) FROM task WHERE session = s.id AND state = 2)
FROM session AS s WHERE s.namespace = :namespace AND s.ended_at IS NULL ORDER BY s.id;

-- name: run_key_of
SELECT name FROM run_key WHERE run = :run;

-- name: lane_ahead
-- How many READY tasks stand before a place in a lane.
SELECT COUNT(*) FROM task WHERE lane = :lane AND state = 1 AND due_at IS NULL AND order_at < :order_at;

-- name: gate
SELECT g.id, g.name, t.most, t.starts, t.per, g.next_at
FROM gate AS g JOIN gate AS t ON t.id = COALESCE(g.template, g.id) WHERE g.id = :id;

-- name: held_tasks
-- The tasks that the engine itself holds, of one run or of all in a namespace, oldest first.
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at, t.until
FROM task AS t JOIN run AS r ON r.id = t.run
WHERE t.state = 2 AND t.session IS NULL AND r.namespace = :namespace
  AND (CAST(:run AS BIGINT) IS NULL OR t.run = :run) AND t.id > :after
ORDER BY t.id LIMIT :limit;

-- name: tasks_at
-- The tasks of some nodes at one branch.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
       gate, expires_at, cancel_at, until
FROM task WHERE run = :run AND branch = :branch AND node = ANY(:nodes) ORDER BY node, generation;

-- name: tasks_of
-- The first tasks of some nodes in some states.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
       gate, expires_at, cancel_at, until
FROM task WHERE run = :run AND node = ANY(:nodes) AND state = ANY(:states) ORDER BY settled_at, id LIMIT :limit;

-- name: iterations
-- How many iterations of a loop have begun.
SELECT COUNT(*) FROM task WHERE run = :run AND node = :start AND branch >= :prefix AND branch < :end;
