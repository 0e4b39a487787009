-- Rows that stand for tasks still to be made; bound one by one.

-- name: insert_spread
INSERT INTO spread (id, run, node, branch, parent, tasks, state, created_at, places, expires_at, generation)
VALUES (:id, :run, :node, :branch, :parent, :tasks, :state, :created_at, :places, :expires_at, :generation);

-- name: update_spread
-- Guarded by what the decision believed.
UPDATE spread SET state = :state, expires_at = :expires_at WHERE id = :id AND state = :was_state;

-- name: delete_spread
-- Its tasks have been made. Guarded as above, so that they are made once.
DELETE FROM spread WHERE id = :id AND state = :was_state;
