-- Putting away what a re-run replaces; bound one by one.

-- name: insert_past_task
INSERT INTO past_task (id, run, node, branch, generation, state, body)
VALUES (:id, :run, :node, :branch, :generation, :state, :body);

-- name: copy_past_items
INSERT INTO past_item (run, node, branch, generation, item, size, body, blob)
SELECT run, node, branch, :generation, item, size, body, blob FROM item
WHERE run = :run AND node = :node AND branch = :branch;

-- name: delete_items
DELETE FROM item WHERE run = :run AND node = :node AND branch = :branch;

-- name: delete_join_row
DELETE FROM join_row WHERE run = :run AND node = :node AND branch = :branch;
