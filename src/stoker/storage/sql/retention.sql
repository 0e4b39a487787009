-- What is kept, and the deletion of what is not. A run that is being deleted has the negative number of its namespace:
-- nobody finds it any more, whoever deletes does. It goes last, after all that hangs on it.

-- name: keeps
-- Every namespace with its own rule, if it has one.
SELECT n.id, k.spec FROM namespace AS n LEFT JOIN keep AS k ON k.namespace = n.id ORDER BY n.id;

-- name: keep
SELECT spec FROM keep WHERE namespace = :namespace;

-- name: put_keep
INSERT INTO keep (namespace, spec) VALUES (:namespace, :spec)
ON CONFLICT (namespace) DO UPDATE SET spec = excluded.spec;

-- name: delete_keep
DELETE FROM keep WHERE namespace = :namespace;

-- name: ended_runs
-- Runs at the top of their trees that have ended, oldest first, behind one: state, made and ended when, with a key?
-- One that was brought here is as old as that.
SELECT r.id, r.state, r.created_at, COALESCE(i.at, r.ended_at),
       EXISTS (SELECT 1 FROM run_key AS k WHERE k.run = r.id), i.run IS NOT NULL
FROM run AS r LEFT JOIN imported AS i ON i.run = r.id
WHERE r.namespace = :namespace AND (r.created_at, r.id) > (:after_at, :after_id) AND r.created_at <= :before
  AND r.root IS NULL AND r.state <> 1
ORDER BY r.created_at, r.id LIMIT :limit;

-- name: last_kept
-- When the newest run was made that so many newer ones in these states are kept before.
SELECT created_at, id FROM run WHERE namespace = :namespace AND root IS NULL AND state = ANY(:states)
ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET :count;

-- name: trees_running
-- Which of these runs have child runs that have not ended.
SELECT DISTINCT root FROM run WHERE root = ANY(:runs) AND state = 1;

-- name: hide_runs
-- Those of an import that died have no namespace yet.
UPDATE run SET namespace = CASE WHEN namespace = 0 THEN -1 ELSE -namespace END WHERE id = ANY(:runs) AND namespace >= 0;

-- name: free_keys
DELETE FROM run_key WHERE run = ANY(:runs);

-- name: hidden
-- Whether anything is being deleted.
SELECT id FROM run WHERE namespace < 0 LIMIT 1;

-- name: shown_children
-- Child runs of runs that are being deleted, which are still to be hidden.
SELECT c.id FROM run AS r JOIN run AS c ON c.root = r.id WHERE r.namespace < 0 AND c.namespace >= 0 LIMIT :limit;

-- name: tasks_among
SELECT id FROM task WHERE run = ANY(:runs) LIMIT :limit;

-- name: past_tasks_among
SELECT id FROM past_task WHERE run = ANY(:runs) LIMIT :limit;

-- name: erase_attempt
DELETE FROM attempt WHERE id IN (SELECT id FROM attempt WHERE task = ANY(:tasks) LIMIT :limit) RETURNING 1;

-- name: erase_progress
DELETE FROM progress WHERE task = ANY(:tasks);

-- name: erase_past_task
DELETE FROM past_task WHERE id = ANY(:tasks);

-- name: erase_log
DELETE FROM log WHERE id IN (SELECT id FROM log WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: erase_spread
DELETE FROM spread WHERE id IN (SELECT id FROM spread WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: erase_output
DELETE FROM output WHERE id IN (SELECT id FROM output WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: erase_item
DELETE FROM item WHERE (run, node, branch, item) IN (
    SELECT run, node, branch, item FROM item WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: erase_past_item
DELETE FROM past_item WHERE (run, node, branch, generation, item) IN (
    SELECT run, node, branch, generation, item FROM past_item WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: erase_join_row
DELETE FROM join_row WHERE (run, node, branch) IN (
    SELECT run, node, branch FROM join_row WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: erase_node_count
DELETE FROM node_count WHERE (run, node) IN (
    SELECT run, node FROM node_count WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: erase_live_node
DELETE FROM live_node WHERE (run, node) IN (
    SELECT run, node FROM live_node WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: erase_run_tag
DELETE FROM run_tag WHERE (run, name) IN (
    SELECT run, name FROM run_tag WHERE run = ANY(:runs) LIMIT :limit) RETURNING 1;

-- name: erase_run_key
DELETE FROM run_key WHERE run = ANY(:runs);

-- name: erase_run_input
DELETE FROM run_input WHERE run = ANY(:runs);

-- name: erase_run_store
DELETE FROM run_store WHERE run = ANY(:runs);

-- name: erase_run_fork
DELETE FROM run_fork WHERE run = ANY(:runs);

-- name: erase_schedule_firing
-- What became of the times that started these runs.
DELETE FROM schedule_firing WHERE run = ANY(:runs) AND (schedule, at) IN (
    SELECT schedule, scheduled_at FROM run WHERE id = ANY(:runs) AND schedule IS NOT NULL);

-- name: erase_run
DELETE FROM run WHERE id = ANY(:runs);
