-- Rows that stand for tasks still to be made. States arrive as parameters, but for the index of what is to be spread.

-- name: spreads
-- Whole rows by id.
SELECT id, run, node, branch, parent, tasks, state, created_at, places, expires_at, generation
FROM spread WHERE id = ANY(:ids);

-- name: run_spreads
-- Every row of a run.
SELECT id, run, node, branch, parent, tasks, state, created_at, places, expires_at, generation
FROM spread WHERE run = :run ORDER BY id;

-- name: ready_spreads
-- What can be spread now, oldest first.
SELECT s.run, s.id FROM spread AS s JOIN run AS r ON r.id = s.run
WHERE s.state = 1 AND r.stopping = 0 ORDER BY s.id LIMIT :limit;

-- name: sweepable_spreads
SELECT id FROM spread WHERE run = :run AND state = 1 ORDER BY id LIMIT :limit;

-- name: spread_counts
-- How many tasks of each node are still to be made.
SELECT node, CAST(SUM(tasks) AS BIGINT) FROM spread WHERE run = :run AND state = 1 GROUP BY node ORDER BY node;
