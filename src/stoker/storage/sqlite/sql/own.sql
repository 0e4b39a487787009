-- What SQLite says its own way: rows are bound one by one, and a transaction is alone, so that reading is locking.

-- name: join_row
-- One join row by its key; bound once per key.
SELECT run, node, branch, open, members, arrived, empty, failed, state, generation
FROM join_row WHERE run = :run AND node = :node AND branch = :branch;

-- name: item
-- One item by its key; bound once per key.
SELECT run, node, branch, item, size, body, blob
FROM item WHERE run = :run AND node = :node AND branch = :branch AND item = :item;

-- name: claimable
-- The first READY tasks of each lane, in queue order.
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at
FROM json_each(:lanes) AS l
JOIN task AS t ON t.id IN (
    SELECT id FROM task WHERE lane = l.value AND state = 1 AND due_at IS NULL ORDER BY order_at LIMIT :limit
)
ORDER BY t.order_at
LIMIT :limit;

-- name: admitted
-- The first READY tasks of these lanes, besides some; of all lanes of one gate together no more than may go through it.
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at
FROM (
    SELECT c.id, r.value AS room,
           ROW_NUMBER() OVER (PARTITION BY g.value ORDER BY c.order_at, c.id) AS place
    FROM json_each(:lanes) AS l JOIN json_each(:gates) AS g ON g.key = l.key JOIN json_each(:rooms) AS r ON r.key = l.key
    JOIN task AS c ON c.id IN (
        SELECT id FROM task WHERE lane = l.value AND state = 1 AND due_at IS NULL
          AND NOT (id = ANY(:taken)) ORDER BY order_at LIMIT :limit
    )
) AS near JOIN task AS t ON t.id = near.id
WHERE near.place <= near.room ORDER BY t.order_at, t.id LIMIT :limit;

-- name: open_gates
-- Which of these gates have READY tasks in these lanes. Nobody else has one locked.
SELECT id, name, most, starts, per, next_at, 1 FROM gate WHERE id IN (
    SELECT g.value FROM json_each(:lanes) AS l JOIN json_each(:gates) AS g ON g.key = l.key
    WHERE EXISTS (SELECT 1 FROM task WHERE lane = l.value AND state = 1 AND due_at IS NULL)
) ORDER BY id;

-- name: lock_gates
SELECT id, name, most, starts, per, next_at FROM gate WHERE id = ANY(:ids) ORDER BY id;

-- name: insert_run
INSERT INTO run (id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at,
                 ended_at, cancel_at, weight, root, parent, schedule, scheduled_at)
VALUES (:id, :namespace, :version, :state, :stopping, :priority, :last_order_at, :open, :tasks, :failed, :created_at,
        :ended_at, :cancel_at, :weight, :root, :parent, :schedule, :scheduled_at);

-- name: update_run
UPDATE run SET state = :state, stopping = :stopping, last_order_at = :last_order_at, open = :open, tasks = :tasks,
       failed = :failed, ended_at = :ended_at, cancel_at = :cancel_at
WHERE id = :id;

-- name: insert_run_input
INSERT INTO run_input (run, body) VALUES (:run, :body);

-- name: insert_run_store
INSERT INTO run_store (run, body) VALUES (:run, :body);

-- name: insert_task
INSERT INTO task (id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at,
                  parent, element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
                  gate, expires_at, cancel_at)
VALUES (:id, :run, :node, :branch, :generation, :state, :attempt, :failures, :losses, :priority, :lane, :order_at,
        :due_at, :parent, :element, :session, :answer, :deadline, :ended, :withheld, :code, :created_at, :claimed_at,
        :settled_at, :gate, :expires_at, :cancel_at);

-- name: update_task
-- Guarded by what the decision believed: the state and the attempt.
UPDATE task SET state = :state, attempt = :attempt, failures = :failures, losses = :losses, order_at = :order_at,
       due_at = :due_at, session = :session, answer = :answer, deadline = :deadline, ended = :ended,
       withheld = :withheld, code = :code, claimed_at = :claimed_at, settled_at = :settled_at,
       expires_at = :expires_at, cancel_at = :cancel_at
WHERE id = :id AND state = :was_state AND attempt = :was_attempt;

-- name: insert_item
INSERT INTO item (run, node, branch, item, size, body, blob)
VALUES (:run, :node, :branch, :item, :size, :body, :blob);

-- name: put_join_row
INSERT INTO join_row (run, node, branch, open, members, arrived, empty, failed, state, generation)
VALUES (:run, :node, :branch, :open, :members, :arrived, :empty, :failed, :state, :generation)
ON CONFLICT (run, node, branch) DO UPDATE SET open = excluded.open, members = excluded.members,
    arrived = excluded.arrived, empty = excluded.empty, failed = excluded.failed, state = excluded.state,
    generation = excluded.generation;

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

-- name: put_session
-- When a session's leases end, unless that was changed behind our back.
WITH n (id, until, ended_at, expected) AS (VALUES (:id, :until, :ended_at, :expected))
UPDATE session SET until = COALESCE(n.until, session.until), ended_at = n.ended_at FROM n
WHERE session.id = n.id AND (n.expected IS NULL OR session.until = n.expected);
