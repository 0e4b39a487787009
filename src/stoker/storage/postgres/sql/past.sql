-- Putting away what a re-run replaces; rows come as columns of arrays. The run's lock covers them.

-- name: insert_past_task
INSERT INTO past_task (id, run, node, branch, generation, state, body)
SELECT * FROM unnest(
    CAST(:id AS BIGINT[]), CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[]),
    CAST(:generation AS BIGINT[]), CAST(:state AS SMALLINT[]), CAST(:body AS BYTEA[]));

-- name: copy_past_items
INSERT INTO past_item (run, node, branch, generation, item, size, body, blob)
SELECT i.run, i.node, i.branch, k.generation, i.item, i.size, i.body, i.blob
FROM unnest(CAST(:generation AS BIGINT[]), CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[]))
    AS k (generation, run, node, branch)
JOIN item AS i ON i.run = k.run AND i.node = k.node AND i.branch = k.branch;

-- name: delete_items
DELETE FROM item
USING unnest(CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[])) AS k (run, node, branch)
WHERE item.run = k.run AND item.node = k.node AND item.branch = k.branch;

-- name: delete_join_row
DELETE FROM join_row
USING unnest(CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[])) AS k (run, node, branch)
WHERE join_row.run = k.run AND join_row.node = k.node AND join_row.branch = k.branch;
