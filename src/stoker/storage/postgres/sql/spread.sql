-- Rows that stand for tasks still to be made; rows come as columns of arrays. The run's lock covers them.

-- name: insert_spread
INSERT INTO spread (id, run, node, branch, parent, tasks, state, created_at, places, expires_at, generation)
SELECT * FROM unnest(
    CAST(:id AS BIGINT[]), CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[]),
    CAST(:parent AS BIGINT[]), CAST(:tasks AS BIGINT[]), CAST(:state AS SMALLINT[]), CAST(:created_at AS BIGINT[]),
    CAST(:places AS BYTEA[]), CAST(:expires_at AS BIGINT[]), CAST(:generation AS BIGINT[]));

-- name: update_spread
-- Guarded by what the decision believed.
UPDATE spread SET state = n.state, expires_at = n.expires_at
FROM unnest(
    CAST(:state AS SMALLINT[]), CAST(:expires_at AS BIGINT[]), CAST(:id AS BIGINT[]), CAST(:was_state AS SMALLINT[]))
    AS n (state, expires_at, id, was_state)
WHERE spread.id = n.id AND spread.state = n.was_state;

-- name: delete_spread
-- Their tasks have been made. Guarded as above, so that they are made once.
DELETE FROM spread
USING unnest(CAST(:id AS BIGINT[]), CAST(:was_state AS SMALLINT[])) AS n (id, was_state)
WHERE spread.id = n.id AND spread.state = n.was_state;
