-- Runs as archives have them (core/archive.py): read page by page, and put down as runs that have ended.

-- name: export_run
-- A tree, the run at its top first.
SELECT id, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at, ended_at, cancel_at,
       weight, root, parent, scheduled_at
FROM run WHERE (id = :run OR root = :run) AND id > :after ORDER BY id LIMIT :limit;

-- name: import_run
INSERT INTO run (id, version, state, stopping, priority, last_order_at, open, tasks, failed, created_at, ended_at, cancel_at,
        weight, root, parent, scheduled_at, namespace)
VALUES (:id, :version, :state, :stopping, :priority, :last_order_at, :open, :tasks, :failed, :created_at, :ended_at,
        :cancel_at, :weight, :root, :parent, :scheduled_at, 0);

-- name: export_run_input
SELECT run, body FROM run_input WHERE run = :run;

-- name: import_run_input
INSERT INTO run_input (run, body)
VALUES (:run, :body);

-- name: export_run_store
SELECT run, body FROM run_store WHERE run = :run;

-- name: import_run_store
INSERT INTO run_store (run, body)
VALUES (:run, :body);

-- name: export_run_tag
SELECT run, name, value, created_at
FROM run_tag WHERE run = :run AND name > :after_name ORDER BY name LIMIT :limit;

-- name: import_run_tag
INSERT INTO run_tag (run, name, value, created_at, namespace)
VALUES (:run, :name, :value, :created_at, :namespace);

-- name: export_task
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at, gate,
       expires_at, cancel_at
FROM task WHERE run = :run AND (node, branch, generation) > (:after_node, :after_branch, :after_generation) ORDER BY node, branch, generation LIMIT :limit;

-- name: import_task
INSERT INTO task (id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
        element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at, gate,
        expires_at, cancel_at)
VALUES (:id, :run, :node, :branch, :generation, :state, :attempt, :failures, :losses, :priority, :lane, :order_at,
        :due_at, :parent, :element, :session, :answer, :deadline, :ended, :withheld, :code, :created_at, :claimed_at,
        :settled_at, :gate, :expires_at, :cancel_at);

-- name: export_past_task
SELECT id, run, node, branch, generation, state, body
FROM past_task WHERE run = :run AND (node, branch, generation, id) > (:after_node, :after_branch, :after_generation, :after_id) ORDER BY node, branch, generation, id LIMIT :limit;

-- name: import_past_task
INSERT INTO past_task (id, run, node, branch, generation, state, body)
VALUES (:id, :run, :node, :branch, :generation, :state, :body);

-- name: export_item
SELECT run, node, branch, item, size, body, blob
FROM item WHERE run = :run AND (node, branch, item) > (:after_node, :after_branch, :after_item) ORDER BY node, branch, item LIMIT :limit;

-- name: import_item
INSERT INTO item (run, node, branch, item, size, body, blob)
VALUES (:run, :node, :branch, :item, :size, :body, :blob);

-- name: export_past_item
SELECT run, node, branch, generation, item, size, body, blob
FROM past_item WHERE run = :run AND (node, branch, generation, item) > (:after_node, :after_branch, :after_generation, :after_item) ORDER BY node, branch, generation, item LIMIT :limit;

-- name: import_past_item
INSERT INTO past_item (run, node, branch, generation, item, size, body, blob)
VALUES (:run, :node, :branch, :generation, :item, :size, :body, :blob);

-- name: export_join_row
SELECT run, node, branch, open, members, arrived, empty, failed, state, generation
FROM join_row WHERE run = :run AND (node, branch) > (:after_node, :after_branch) ORDER BY node, branch LIMIT :limit;

-- name: import_join_row
INSERT INTO join_row (run, node, branch, open, members, arrived, empty, failed, state, generation)
VALUES (:run, :node, :branch, :open, :members, :arrived, :empty, :failed, :state, :generation);

-- name: export_node_count
SELECT run, node, created, succeeded, failed, pruned, cancelled, skipped
FROM node_count WHERE run = :run AND node > :after_node ORDER BY node LIMIT :limit;

-- name: import_node_count
INSERT INTO node_count (run, node, created, succeeded, failed, pruned, cancelled, skipped)
VALUES (:run, :node, :created, :succeeded, :failed, :pruned, :cancelled, :skipped);

-- name: export_attempt
SELECT task, run, attempt, outcome, code, message, type, traceback, session, started_at, ended_at
FROM attempt WHERE task = ANY(:tasks) ORDER BY task, id;

-- name: import_attempt
INSERT INTO attempt (task, run, attempt, outcome, code, message, type, traceback, session, started_at, ended_at)
VALUES (:task, :run, :attempt, :outcome, :code, :message, :type, :traceback, :session, :started_at, :ended_at);

-- name: export_progress
SELECT task, run, attempt, fraction, message
FROM progress WHERE task = ANY(:tasks) ORDER BY task;

-- name: import_progress
INSERT INTO progress (task, run, attempt, fraction, message)
VALUES (:task, :run, :attempt, :fraction, :message);

-- name: export_log
SELECT id, run, task, attempt, seq, stream, at, text, total
FROM log WHERE run = :run AND id > :after_id ORDER BY id LIMIT :limit;

-- name: import_log
INSERT INTO log (run, task, attempt, seq, stream, at, text, total)
VALUES (:run, :task, :attempt, :seq, :stream, :at, :text, :total);

-- name: export_live_node
SELECT run, node, generation, task, state, status, settled, outputs, current_output, giver, given_by, given, since,
       bound, bound_before
FROM live_node WHERE run = :run AND node > :after_node ORDER BY node LIMIT :limit;

-- name: import_live_node
INSERT INTO live_node (run, node, generation, task, state, status, settled, outputs, current_output, giver, given_by, given, since,
        bound, bound_before)
VALUES (:run, :node, :generation, :task, :state, :status, :settled, :outputs, :current_output, :giver, :given_by,
        :given, :since, :bound, :bound_before);

-- name: export_output
SELECT id, run, node, number, task, attempt, name, created_at
FROM output WHERE run = :run AND id > :after_id ORDER BY id LIMIT :limit;

-- name: import_output
INSERT INTO output (id, run, node, number, task, attempt, name, created_at)
VALUES (:id, :run, :node, :number, :task, :attempt, :name, :created_at);

-- name: export_spread
SELECT id, run, node, branch, parent, tasks, state, created_at, places, expires_at, generation
FROM spread WHERE run = :run AND id > :after_id ORDER BY id LIMIT :limit;

-- name: import_spread
INSERT INTO spread (id, run, node, branch, parent, tasks, state, created_at, places, expires_at, generation)
VALUES (:id, :run, :node, :branch, :parent, :tasks, :state, :created_at, :places, :expires_at, :generation);

-- name: export_artifacts
SELECT id, name, media_type, size, sha256, created_at FROM artifact
WHERE id = ANY(:ids) AND namespace = :namespace ORDER BY id;

-- name: export_version
SELECT id, graph, number, hash, spec, kinds, created_at FROM version WHERE id = :id;

-- name: export_sessions
SELECT id, info FROM session WHERE id = ANY(:ids) ORDER BY id;

-- name: import_session
INSERT INTO session (id, namespace, secret, info, started_at, until, ended_at)
VALUES (:id, :namespace, :secret, :info, :now, :now, :now);

-- name: same_version
-- A version with the same content, here or kept for runs that were brought here; those that are pushed first.
SELECT id FROM version WHERE graph = :graph AND hash = :hash AND namespace = ANY(:namespaces)
ORDER BY namespace DESC, number LIMIT 1;

-- name: private_number
-- A free number among the versions that are kept for runs that were brought here: the one it had, if that can be.
SELECT CASE WHEN EXISTS (SELECT 1 FROM version WHERE namespace = :namespace AND graph = :graph AND number = :number)
       THEN (SELECT MAX(number) + 1 FROM version WHERE namespace = :namespace AND graph = :graph)
       ELSE CAST(:number AS BIGINT) END;

-- name: insert_imported
INSERT INTO imported (run, namespace, origin, at, until) VALUES (:run, :namespace, :origin, :at, :until);

-- name: imported
SELECT origin, at, until FROM imported WHERE run = :run;

-- name: go_on_importing
UPDATE imported SET until = :until WHERE run = :run AND until > :now RETURNING run;

-- name: end_import
UPDATE imported SET until = NULL WHERE run = :run AND until > :now RETURNING run;

-- name: show_imported
UPDATE run SET namespace = :namespace WHERE namespace = 0 AND id = ANY(:runs);

-- name: stale_imports
-- Imports that did not come to their end.
SELECT run, namespace FROM imported WHERE until IS NOT NULL AND until <= :now LIMIT :limit;

-- name: drop_import
DELETE FROM imported WHERE run = :run AND until <= :now RETURNING run;

-- name: doom_import
-- From here on it is a run that is being deleted.
UPDATE run SET namespace = :namespace WHERE id = :run AND namespace = 0;

-- name: erase_imported
DELETE FROM imported WHERE run = ANY(:runs);
