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
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at, t.until
FROM json_each(:lanes) AS l
JOIN task AS t ON t.id IN (
    SELECT id FROM task WHERE lane = l.value AND state = 1 AND due_at IS NULL ORDER BY order_at LIMIT :limit
)
ORDER BY t.order_at
LIMIT :limit;

-- name: admitted
-- The first READY tasks of these lanes, besides some; of all lanes of one gate together no more than may go through it.
WITH wanted AS MATERIALIZED (
    SELECT value ->> 0 AS lane, value ->> 1 AS gate, value ->> 2 AS room FROM json_each(:lanes)
)
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at, t.until
FROM (
    SELECT id, room, ROW_NUMBER() OVER (PARTITION BY gate ORDER BY order_at, id) AS place FROM (
        SELECT c.id, c.order_at, w.gate, w.room FROM wanted AS w CROSS JOIN task AS c ON c.id IN (
            SELECT id FROM task WHERE lane = w.lane AND state = 1 AND due_at IS NULL
              AND NOT (id = ANY(:taken)) ORDER BY order_at LIMIT :limit
        ) WHERE w.gate = 0
        UNION ALL
        SELECT c.id, c.order_at, w.gate, w.room FROM wanted AS w CROSS JOIN task AS c ON c.id IN (
            SELECT id FROM task WHERE lane = w.lane AND gate = w.gate AND state = 1 AND due_at IS NULL
              AND NOT (id = ANY(:taken)) ORDER BY order_at LIMIT (SELECT min(:limit, MAX(room)) FROM wanted WHERE gate > 0)
        ) WHERE w.gate > 0
    )
) AS near CROSS JOIN task AS t ON t.id = near.id
WHERE near.place <= near.room ORDER BY t.order_at, t.id LIMIT :limit;

-- name: open_gates
-- Which of these gates have READY tasks in these lanes. Nobody else has one locked.
SELECT g.id, g.name, t.most, t.starts, t.per, g.next_at, 1 FROM gate AS g JOIN gate AS t ON t.id = COALESCE(g.template, g.id)
WHERE g.id IN (
    SELECT w.value ->> 1 FROM json_each(:gates) AS w WHERE EXISTS (
        SELECT 1 FROM task WHERE lane = w.value ->> 0 AND gate = w.value ->> 1 AND state = 1 AND due_at IS NULL)
) ORDER BY g.id;

-- name: lock_gates
SELECT g.id, g.name, t.most, t.starts, t.per, g.next_at
FROM gate AS g JOIN gate AS t ON t.id = COALESCE(g.template, g.id) WHERE g.id = ANY(:ids) ORDER BY g.id;

-- name: touch_gates
-- Gates with these names are in use.
UPDATE gate SET used_at = :now WHERE namespace = :namespace AND name = ANY(:names);

-- name: insert_gates
-- Gates of single values, unless they are there.
INSERT INTO gate (namespace, name, next_at, template, used_at)
SELECT :namespace, n.value, 0, :template, :now FROM json_each(:names) AS n WHERE true
ON CONFLICT (namespace, name) DO NOTHING;

-- name: keep_gates
-- Gates that were not named for long, but have tasks.
UPDATE gate SET used_at = :now WHERE id IN (
    SELECT id FROM gate WHERE template IS NOT NULL AND used_at < :before ORDER BY used_at LIMIT :limit
) AND EXISTS (SELECT 1 FROM task WHERE task.gate = gate.id AND state <= 2) RETURNING id;

-- name: forget_gates
DELETE FROM gate WHERE id IN (
    SELECT id FROM gate WHERE template IS NOT NULL AND used_at < :before ORDER BY used_at LIMIT :limit
) AND NOT EXISTS (SELECT 1 FROM task WHERE task.gate = gate.id AND state <= 2) RETURNING id;

-- name: insert_run
INSERT INTO run (id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at,
                 ended_at, cancel_at, weight, root, parent, schedule, scheduled_at, traceparent, token)
VALUES (:id, :namespace, :version, :state, :stopping, :priority, :last_order_at, :open, :tasks, :failed, :created_at,
        :ended_at, :cancel_at, :weight, :root, :parent, :schedule, :scheduled_at, :traceparent, :token);

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
                  gate, expires_at, cancel_at, until)
VALUES (:id, :run, :node, :branch, :generation, :state, :attempt, :failures, :losses, :priority, :lane, :order_at,
        :due_at, :parent, :element, :session, :answer, :deadline, :ended, :withheld, :code, :created_at, :claimed_at,
        :settled_at, :gate, :expires_at, :cancel_at, :until);

-- name: update_task
-- Guarded by what the decision believed: the state and the attempt.
UPDATE task SET state = :state, attempt = :attempt, failures = :failures, losses = :losses, order_at = :order_at,
       due_at = :due_at, session = :session, answer = :answer, deadline = :deadline, ended = :ended,
       withheld = :withheld, code = :code, claimed_at = :claimed_at, settled_at = :settled_at,
       expires_at = :expires_at, cancel_at = :cancel_at, until = :until
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

-- name: add_runs
-- So many runs were made.
INSERT INTO run_total (namespace, slot, runs) VALUES (:namespace, :slot, :runs)
ON CONFLICT (namespace, slot) DO UPDATE SET runs = run_total.runs + excluded.runs;

-- name: insert_attempt
INSERT INTO attempt (task, run, attempt, outcome, code, message, type, traceback, session, started_at, ended_at)
VALUES (:task, :run, :attempt, :outcome, :code, :message, :type, :traceback, :session, :started_at, :ended_at);

-- name: put_session
-- When a session's leases end, unless that was changed behind our back.
WITH n (id, until, ended_at, expected) AS (VALUES (:id, :until, :ended_at, :expected))
UPDATE session SET until = COALESCE(n.until, session.until), ended_at = n.ended_at FROM n
WHERE session.id = n.id AND (n.expected IS NULL OR session.until = n.expected);
