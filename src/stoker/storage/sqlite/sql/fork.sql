-- What a fork takes over from its run.

-- name: copy_items
INSERT INTO item (run, node, branch, item, size, body, blob)
SELECT :fork, node, branch, item, size, body, blob FROM item
WHERE run = :run AND node = :node AND branch = :branch;

-- name: copy_attempts
INSERT INTO attempt (run, task, attempt, outcome, code, message, type, traceback, session, started_at, ended_at)
SELECT :fork, :copy, attempt, outcome, code, message, type, traceback, session, started_at, ended_at
FROM attempt WHERE task = :task ORDER BY id;

-- name: edit_item
UPDATE item SET size = :size, body = :body, blob = :blob
WHERE run = :run AND node = :node AND branch = :branch AND item = :item;
