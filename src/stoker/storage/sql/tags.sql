-- Tags of runs.

-- name: run_tags
-- The tags of these runs, by name.
SELECT run, name, value FROM run_tag WHERE run = ANY(:runs) ORDER BY run, name;
