-- The deletion of runs: who takes what.

-- name: doomed_runs
-- Runs that are to be deleted, those at the top of a tree after all below.
SELECT id FROM run AS r
WHERE r.namespace < 0 AND NOT EXISTS (SELECT 1 FROM run AS c WHERE c.root = r.id)
LIMIT :limit;
