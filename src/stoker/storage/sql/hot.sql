-- The statements that every task passes through. Parameters are bound in the order in which they first appear.

-- name: tasks
-- Whole tasks by id; a JSON list of ids.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at
FROM task WHERE id IN (SELECT value FROM json_each(:ids));

-- name: runs
-- Whole runs by id.
SELECT id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at, ended_at,
       cancel_at
FROM run WHERE id IN (SELECT value FROM json_each(:ids));

-- name: join_row
-- One join row by its key; bound once per key.
SELECT run, node, branch, open, members, arrived, empty, failed, state
FROM join_row WHERE run = :run AND node = :node AND branch = :branch;

-- name: item
-- One item by its key; bound once per key.
SELECT run, node, branch, item, size, body, blob
FROM item WHERE run = :run AND node = :node AND branch = :branch AND item = :item;

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
SELECT COALESCE(SUM(size), 0), COUNT(*)
FROM item WHERE run = :run AND node = :node AND branch >= :prefix AND branch < :end;

-- name: run_inputs
-- The inputs of runs.
SELECT run, body FROM run_input WHERE run IN (SELECT value FROM json_each(:runs));

-- name: claimable
-- The first READY tasks of each lane, in queue order.
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at
FROM json_each(:lanes) AS l
JOIN task AS t ON t.id IN (
    SELECT id FROM task WHERE lane = l.value AND state = 1 AND due_at IS NULL ORDER BY order_at LIMIT :limit
)
ORDER BY t.order_at
LIMIT :limit;

-- name: insert_run
INSERT INTO run (id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at,
                 ended_at, cancel_at)
VALUES (:id, :namespace, :version, :state, :stopping, :priority, :last_order_at, :open, :tasks, :failed, :created_at,
        :ended_at, :cancel_at);

-- name: update_run
UPDATE run SET state = :state, stopping = :stopping, last_order_at = :last_order_at, open = :open, tasks = :tasks,
       failed = :failed, ended_at = :ended_at, cancel_at = :cancel_at
WHERE id = :id;

-- name: insert_run_input
INSERT INTO run_input (run, body) VALUES (:run, :body);

-- name: insert_run_key
INSERT INTO run_key (namespace, name, run, hash) VALUES (:namespace, :name, :run, :hash);

-- name: run_key
SELECT run, hash FROM run_key WHERE namespace = :namespace AND name = :name;

-- name: insert_task
INSERT INTO task (id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at,
                  parent, element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at)
VALUES (:id, :run, :node, :branch, :generation, :state, :attempt, :failures, :losses, :priority, :lane, :order_at,
        :due_at, :parent, :element, :session, :answer, :deadline, :ended, :withheld, :code, :created_at, :claimed_at,
        :settled_at);

-- name: update_task
-- Guarded by what the decision believed: the state and the attempt.
UPDATE task SET state = :state, attempt = :attempt, failures = :failures, losses = :losses, order_at = :order_at,
       due_at = :due_at, session = :session, answer = :answer, deadline = :deadline, ended = :ended,
       withheld = :withheld, code = :code, claimed_at = :claimed_at, settled_at = :settled_at
WHERE id = :id AND state = :was_state AND attempt = :was_attempt;

-- name: insert_item
INSERT INTO item (run, node, branch, item, size, body, blob)
VALUES (:run, :node, :branch, :item, :size, :body, :blob);

-- name: put_join_row
INSERT INTO join_row (run, node, branch, open, members, arrived, empty, failed, state)
VALUES (:run, :node, :branch, :open, :members, :arrived, :empty, :failed, :state)
ON CONFLICT (run, node, branch) DO UPDATE SET open = excluded.open, members = excluded.members,
    arrived = excluded.arrived, empty = excluded.empty, failed = excluded.failed, state = excluded.state;

-- name: add_counts
INSERT INTO node_count (run, node, created, succeeded, failed, pruned, cancelled, skipped)
VALUES (:run, :node, :created, :succeeded, :failed, :pruned, :cancelled, :skipped)
ON CONFLICT (run, node) DO UPDATE SET created = node_count.created + excluded.created,
    succeeded = node_count.succeeded + excluded.succeeded, failed = node_count.failed + excluded.failed,
    pruned = node_count.pruned + excluded.pruned, cancelled = node_count.cancelled + excluded.cancelled,
    skipped = node_count.skipped + excluded.skipped;

-- name: insert_attempt
INSERT INTO attempt (task, run, attempt, outcome, code, message, type, traceback, session, started_at, ended_at)
VALUES (:task, :run, :attempt, :outcome, :code, :message, :type, :traceback, :session, :started_at, :ended_at);

-- name: put_progress
INSERT INTO progress (task, run, attempt, fraction, message)
VALUES (:task, :run, :attempt, :fraction, :message)
ON CONFLICT (task) DO UPDATE SET attempt = excluded.attempt, fraction = excluded.fraction, message = excluded.message;

-- name: insert_log
-- A repeated chunk is kept once.
INSERT INTO log (run, task, attempt, seq, stream, at, text)
VALUES (:run, :task, :attempt, :seq, :stream, :at, :text)
ON CONFLICT (task, attempt, seq) DO NOTHING;
