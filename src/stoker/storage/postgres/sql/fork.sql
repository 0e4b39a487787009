-- What a fork takes over from its run.

-- name: copy_items
INSERT INTO item (run, node, branch, item, size, body, blob)
SELECT k.fork, i.node, i.branch, i.item, i.size, i.body, i.blob
FROM unnest(CAST(:fork AS BIGINT[]), CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[]))
    AS k (fork, run, node, branch)
JOIN item AS i ON i.run = k.run AND i.node = k.node AND i.branch = k.branch;

-- name: copy_attempts
INSERT INTO attempt (task, run, attempt, outcome, code, message, type, traceback, session, started_at, ended_at)
SELECT k.copy, k.fork, a.attempt, a.outcome, a.code, a.message, a.type, a.traceback, a.session, a.started_at, a.ended_at
FROM unnest(CAST(:fork AS BIGINT[]), CAST(:copy AS BIGINT[]), CAST(:task AS BIGINT[])) AS k (fork, copy, task)
JOIN attempt AS a ON a.task = k.task ORDER BY a.id;

-- name: edit_item
UPDATE item SET size = n.size, body = n.body, blob = n.blob
FROM unnest(CAST(:size AS BIGINT[]), CAST(:body AS BYTEA[]), CAST(:blob AS TEXT[]), CAST(:run AS BIGINT[]),
    CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[]), CAST(:item AS BIGINT[]))
    AS n (size, body, blob, run, node, branch, item)
WHERE item.run = n.run AND item.node = n.node AND item.branch = n.branch AND item.item = n.item;
