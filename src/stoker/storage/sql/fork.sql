-- Where forks come from.

-- name: insert_fork
INSERT INTO run_fork (run, origin, node, branch) VALUES (:run, :origin, :node, :branch);

-- name: fork_of
-- Where a run was forked from.
SELECT origin, node, branch FROM run_fork WHERE run = :run;
