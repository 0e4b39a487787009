-- What PostgreSQL says its own way: rows come as columns of arrays, and what is read to be changed is locked, each table
-- by a statement of its own, in ascending order of id.

-- name: lock_runs
-- Runs by id, and those of tasks. A child run is not locked, but the run at the top of its tree.
SELECT id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at, ended_at,
       cancel_at, weight, root, parent, schedule, scheduled_at, traceparent,
       token
FROM run WHERE id = ANY(ARRAY(
    SELECT COALESCE((SELECT c.root FROM run AS c WHERE c.id = w.id AND c.root IS NOT NULL), w.id)
    FROM (SELECT unnest(CAST(:ids AS BIGINT[])) AS id UNION SELECT run FROM task WHERE id = ANY(:tasks)) AS w))
ORDER BY id FOR NO KEY UPDATE;

-- name: lock_tasks
-- Whole tasks by id; last: until when the session that has it, or had it, was promised its leases, 0 if it ended, or
-- if the task was given to it only while we waited for the lock.
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at, t.until, CASE WHEN s.ended_at IS NULL THEN COALESCE(s.until, 0) ELSE 0 END
FROM task AS t LEFT JOIN session AS s ON s.id = t.session
WHERE t.id = ANY(:ids) ORDER BY t.id FOR NO KEY UPDATE OF t;

-- name: join_row
-- Join rows by their keys.
SELECT j.run, j.node, j.branch, j.open, j.members, j.arrived, j.empty, j.failed, j.state, j.generation
FROM unnest(CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[])) AS k (run, node, branch)
JOIN join_row AS j ON j.run = k.run AND j.node = k.node AND j.branch = k.branch;

-- name: item
-- Items by their keys.
SELECT i.run, i.node, i.branch, i.item, i.size, i.body, i.blob
FROM unnest(CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[]), CAST(:item AS BIGINT[]))
    AS k (run, node, branch, item)
JOIN item AS i ON i.run = k.run AND i.node = k.node AND i.branch = k.branch AND i.item = k.item;

-- name: claimable
-- The first READY tasks of each lane, in queue order, locked; those that another server is just claiming are passed by.
WITH near AS MATERIALIZED (
    SELECT l.lane FROM unnest(CAST(:lanes AS BIGINT[])) AS l (lane) CROSS JOIN LATERAL (
        SELECT order_at FROM task WHERE lane = l.lane AND state = 1 AND due_at IS NULL ORDER BY order_at LIMIT :limit
    ) AS c ORDER BY c.order_at LIMIT :limit
)
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at, t.until
FROM (SELECT lane, COUNT(*) AS share FROM near GROUP BY lane) AS n CROSS JOIN LATERAL (
    SELECT * FROM task WHERE lane = n.lane AND state = 1 AND due_at IS NULL
    ORDER BY order_at LIMIT n.share FOR NO KEY UPDATE SKIP LOCKED
) AS t
ORDER BY t.order_at;

-- name: admitted
-- The first READY tasks of these lanes, besides some, locked as above; of all lanes of one gate together no more than
-- may go through it.
WITH near AS MATERIALIZED (
    SELECT lane, gate FROM (
        SELECT l.lane, l.gate, l.room, c.order_at, ROW_NUMBER() OVER (PARTITION BY l.gate ORDER BY c.order_at) AS place
        FROM unnest(CAST(:lanes AS BIGINT[]), CAST(:gates AS BIGINT[]), CAST(:rooms AS BIGINT[]))
            AS l (lane, gate, room)
        CROSS JOIN LATERAL (
            (SELECT order_at FROM task WHERE l.gate = 0 AND lane = l.lane AND state = 1 AND due_at IS NULL
               AND NOT (id = ANY(CAST(:taken AS BIGINT[]))) ORDER BY order_at LIMIT LEAST(l.room, :limit))
            UNION ALL
            (SELECT order_at FROM task WHERE lane = l.lane AND gate = l.gate AND state = 1 AND due_at IS NULL
               AND NOT (id = ANY(CAST(:taken AS BIGINT[]))) ORDER BY order_at LIMIT LEAST(l.room, :limit))
        ) AS c
    ) AS p WHERE place <= room ORDER BY order_at LIMIT :limit
), shares AS (
    SELECT lane, gate, COUNT(*) AS share FROM near GROUP BY lane, gate
)
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at, t.until
FROM shares AS n CROSS JOIN LATERAL (
    SELECT * FROM task WHERE lane = n.lane AND state = 1 AND due_at IS NULL
      AND NOT (id = ANY(CAST(:taken AS BIGINT[])))
    ORDER BY order_at LIMIT n.share FOR NO KEY UPDATE SKIP LOCKED
) AS t WHERE n.gate = 0
UNION ALL
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at, t.until
FROM shares AS n CROSS JOIN LATERAL (
    SELECT * FROM task WHERE lane = n.lane AND gate = n.gate AND state = 1 AND due_at IS NULL
      AND NOT (id = ANY(CAST(:taken AS BIGINT[])))
    ORDER BY order_at LIMIT n.share FOR NO KEY UPDATE SKIP LOCKED
) AS t WHERE n.gate > 0
ORDER BY order_at;

-- name: open_gates
-- Which of these gates have READY tasks in these lanes: locked, or (0) locked by another server, which are passed by.
WITH wanted AS MATERIALIZED (
    SELECT DISTINCT l.gate FROM unnest(CAST(:lanes AS BIGINT[]), CAST(:gates AS BIGINT[])) AS l (lane, gate)
    WHERE EXISTS (SELECT 1 FROM task WHERE lane = l.lane AND gate = l.gate AND state = 1 AND due_at IS NULL)
), held AS MATERIALIZED (
    SELECT g.id, g.name, t.most, t.starts, t.per, g.next_at FROM gate AS g JOIN gate AS t ON t.id = COALESCE(g.template, g.id)
    WHERE g.id = ANY(ARRAY(SELECT gate FROM wanted)) ORDER BY g.id FOR NO KEY UPDATE OF g SKIP LOCKED
)
SELECT w.gate, h.name, h.most, h.starts, h.per, h.next_at, CASE WHEN h.id IS NULL THEN 0 ELSE 1 END
FROM wanted AS w LEFT JOIN held AS h ON h.id = w.gate ORDER BY w.gate;

-- name: lock_gates
SELECT g.id, g.name, t.most, t.starts, t.per, g.next_at FROM gate AS g JOIN gate AS t ON t.id = COALESCE(g.template, g.id)
WHERE g.id = ANY(:ids) ORDER BY g.id FOR NO KEY UPDATE OF g;

-- name: touch_gates
-- Gates with these names are in use; locked as all are, in order of id.
UPDATE gate SET used_at = :now WHERE id = ANY(ARRAY(
    SELECT id FROM gate WHERE namespace = :namespace AND name = ANY(:names) ORDER BY id FOR NO KEY UPDATE));

-- name: insert_gates
-- Gates of single values, unless they are there. In order, for others do the same.
INSERT INTO gate (namespace, name, next_at, template, used_at)
SELECT CAST(:namespace AS BIGINT), n.name, 0, CAST(:template AS BIGINT), CAST(:now AS BIGINT)
FROM unnest(CAST(:names AS TEXT[])) AS n (name) ORDER BY n.name COLLATE "C"
ON CONFLICT (namespace, name) DO NOTHING;

-- name: keep_gates
-- Gates that were not named for long, but have tasks.
UPDATE gate SET used_at = :now WHERE id = ANY(ARRAY(
    SELECT id FROM gate WHERE template IS NOT NULL AND used_at < :before ORDER BY used_at LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
)) AND EXISTS (SELECT 1 FROM task WHERE task.gate = gate.id AND state <= 2) RETURNING id;

-- name: forget_gates
DELETE FROM gate WHERE id = ANY(ARRAY(
    SELECT id FROM gate WHERE template IS NOT NULL AND used_at < :before ORDER BY used_at LIMIT :limit
    FOR UPDATE SKIP LOCKED
)) AND NOT EXISTS (SELECT 1 FROM task WHERE task.gate = gate.id AND state <= 2) RETURNING id;

-- name: insert_run
INSERT INTO run (id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at,
                 ended_at, cancel_at, weight, root, parent, schedule, scheduled_at, traceparent, token)
SELECT * FROM unnest(
    CAST(:id AS BIGINT[]), CAST(:namespace AS BIGINT[]), CAST(:version AS BIGINT[]), CAST(:state AS SMALLINT[]),
    CAST(:stopping AS SMALLINT[]), CAST(:priority AS SMALLINT[]), CAST(:last_order_at AS BIGINT[]),
    CAST(:open AS BIGINT[]), CAST(:tasks AS BIGINT[]), CAST(:failed AS BIGINT[]), CAST(:created_at AS BIGINT[]),
    CAST(:ended_at AS BIGINT[]), CAST(:cancel_at AS BIGINT[]), CAST(:weight AS SMALLINT[]),
    CAST(:root AS BIGINT[]), CAST(:parent AS BIGINT[]), CAST(:schedule AS BIGINT[]), CAST(:scheduled_at AS BIGINT[]),
    CAST(:traceparent AS TEXT[]), CAST(:token AS BIGINT[]));

-- name: update_run
UPDATE run SET state = n.state, stopping = n.stopping, last_order_at = n.last_order_at, open = n.open, tasks = n.tasks,
       failed = n.failed, ended_at = n.ended_at, cancel_at = n.cancel_at
FROM unnest(
    CAST(:state AS SMALLINT[]), CAST(:stopping AS SMALLINT[]), CAST(:last_order_at AS BIGINT[]),
    CAST(:open AS BIGINT[]), CAST(:tasks AS BIGINT[]), CAST(:failed AS BIGINT[]), CAST(:ended_at AS BIGINT[]),
    CAST(:cancel_at AS BIGINT[]), CAST(:id AS BIGINT[]))
    AS n (state, stopping, last_order_at, open, tasks, failed, ended_at, cancel_at, id)
WHERE run.id = n.id;

-- name: insert_run_input
INSERT INTO run_input (run, body) SELECT * FROM unnest(CAST(:run AS BIGINT[]), CAST(:body AS BYTEA[]));

-- name: insert_run_store
INSERT INTO run_store (run, body) SELECT * FROM unnest(CAST(:run AS BIGINT[]), CAST(:body AS BYTEA[]));

-- name: insert_task
INSERT INTO task (id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at,
                  parent, element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
                  gate, expires_at, cancel_at, until)
SELECT * FROM unnest(
    CAST(:id AS BIGINT[]), CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[]),
    CAST(:generation AS BIGINT[]), CAST(:state AS SMALLINT[]), CAST(:attempt AS BIGINT[]),
    CAST(:failures AS BIGINT[]), CAST(:losses AS BIGINT[]), CAST(:priority AS SMALLINT[]), CAST(:lane AS BIGINT[]),
    CAST(:order_at AS BIGINT[]), CAST(:due_at AS BIGINT[]), CAST(:parent AS BIGINT[]), CAST(:element AS BYTEA[]),
    CAST(:session AS BIGINT[]), CAST(:answer AS BIGINT[]), CAST(:deadline AS BIGINT[]), CAST(:ended AS SMALLINT[]),
    CAST(:withheld AS SMALLINT[]), CAST(:code AS TEXT[]), CAST(:created_at AS BIGINT[]),
    CAST(:claimed_at AS BIGINT[]), CAST(:settled_at AS BIGINT[]), CAST(:gate AS BIGINT[]),
    CAST(:expires_at AS BIGINT[]), CAST(:cancel_at AS BIGINT[]), CAST(:until AS BIGINT[]));

-- name: update_task
-- Guarded by what the decision believed: the state and the attempt.
UPDATE task SET state = n.state, attempt = n.attempt, failures = n.failures, losses = n.losses, order_at = n.order_at,
       due_at = n.due_at, session = n.session, answer = n.answer, deadline = n.deadline, ended = n.ended,
       withheld = n.withheld, code = n.code, claimed_at = n.claimed_at, settled_at = n.settled_at,
       expires_at = n.expires_at, cancel_at = n.cancel_at, until = n.until
FROM unnest(
    CAST(:state AS SMALLINT[]), CAST(:attempt AS BIGINT[]), CAST(:failures AS BIGINT[]), CAST(:losses AS BIGINT[]),
    CAST(:order_at AS BIGINT[]), CAST(:due_at AS BIGINT[]), CAST(:session AS BIGINT[]), CAST(:answer AS BIGINT[]),
    CAST(:deadline AS BIGINT[]), CAST(:ended AS SMALLINT[]), CAST(:withheld AS SMALLINT[]), CAST(:code AS TEXT[]),
    CAST(:claimed_at AS BIGINT[]), CAST(:settled_at AS BIGINT[]), CAST(:expires_at AS BIGINT[]),
    CAST(:cancel_at AS BIGINT[]), CAST(:until AS BIGINT[]), CAST(:id AS BIGINT[]), CAST(:was_state AS SMALLINT[]), CAST(:was_attempt AS BIGINT[]))
    AS n (state, attempt, failures, losses, order_at, due_at, session, answer, deadline, ended, withheld, code,
          claimed_at, settled_at, expires_at, cancel_at, until, id, was_state, was_attempt)
WHERE task.id = n.id AND task.state = n.was_state AND task.attempt = n.was_attempt;

-- name: insert_item
INSERT INTO item (run, node, branch, item, size, body, blob)
SELECT * FROM unnest(
    CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[]), CAST(:item AS BIGINT[]),
    CAST(:size AS BIGINT[]), CAST(:body AS BYTEA[]), CAST(:blob AS TEXT[]));

-- name: put_join_row
INSERT INTO join_row (run, node, branch, open, members, arrived, empty, failed, state, generation)
SELECT * FROM unnest(
    CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[]), CAST(:open AS BIGINT[]),
    CAST(:members AS BIGINT[]), CAST(:arrived AS BIGINT[]), CAST(:empty AS BIGINT[]), CAST(:failed AS BIGINT[]),
    CAST(:state AS SMALLINT[]), CAST(:generation AS BIGINT[]))
ON CONFLICT (run, node, branch) DO UPDATE SET open = excluded.open, members = excluded.members,
    arrived = excluded.arrived, empty = excluded.empty, failed = excluded.failed, state = excluded.state,
    generation = excluded.generation;

-- name: add_counts
INSERT INTO node_count (run, node, created, succeeded, failed, pruned, cancelled, skipped)
SELECT * FROM unnest(
    CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:created AS BIGINT[]), CAST(:succeeded AS BIGINT[]),
    CAST(:failed AS BIGINT[]), CAST(:pruned AS BIGINT[]), CAST(:cancelled AS BIGINT[]), CAST(:skipped AS BIGINT[]))
ON CONFLICT (run, node) DO UPDATE SET created = node_count.created + excluded.created,
    succeeded = node_count.succeeded + excluded.succeeded, failed = node_count.failed + excluded.failed,
    pruned = node_count.pruned + excluded.pruned, cancelled = node_count.cancelled + excluded.cancelled,
    skipped = node_count.skipped + excluded.skipped;

-- name: add_runs
-- So many runs were made.
INSERT INTO run_total (namespace, slot, runs)
SELECT * FROM unnest(CAST(:namespace AS BIGINT[]), CAST(:slot AS BIGINT[]), CAST(:runs AS BIGINT[]))
ON CONFLICT (namespace, slot) DO UPDATE SET runs = run_total.runs + excluded.runs;

-- name: insert_attempt
INSERT INTO attempt (task, run, attempt, outcome, code, message, type, traceback, session, started_at, ended_at)
SELECT * FROM unnest(
    CAST(:task AS BIGINT[]), CAST(:run AS BIGINT[]), CAST(:attempt AS BIGINT[]), CAST(:outcome AS TEXT[]),
    CAST(:code AS TEXT[]), CAST(:message AS TEXT[]), CAST(:type AS TEXT[]), CAST(:traceback AS TEXT[]),
    CAST(:session AS BIGINT[]), CAST(:started_at AS BIGINT[]), CAST(:ended_at AS BIGINT[]));

-- name: put_session
-- When sessions' leases end, unless another server has written that meanwhile.
UPDATE session SET until = COALESCE(n.until, session.until), ended_at = n.ended_at
FROM unnest(
    CAST(:id AS BIGINT[]), CAST(:until AS BIGINT[]), CAST(:ended_at AS BIGINT[]), CAST(:expected AS BIGINT[]))
    AS n (id, until, ended_at, expected)
WHERE session.id = n.id AND (n.expected IS NULL OR session.until = n.expected)
  AND session.id = ANY(ARRAY(SELECT id FROM session WHERE id = ANY(:id) ORDER BY id FOR NO KEY UPDATE));

-- name: filled_lanes
-- Which of these lanes have tasks that may be claimed.
SELECT l.lane FROM unnest(CAST(:lanes AS BIGINT[])) AS l (lane)
WHERE EXISTS (SELECT 1 FROM task WHERE lane = l.lane AND state = 1 AND due_at IS NULL);
