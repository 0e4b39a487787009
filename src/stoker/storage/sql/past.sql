-- What a re-run replaced. Nothing on the way of a task reads it.

-- name: past_tasks
SELECT body FROM past_task WHERE id = ANY(:ids);

-- name: past_page
-- The tasks of a run that were replaced, by node, branch and generation; state and node filters are optional (NULL).
SELECT body FROM past_task
WHERE run = :run AND (node, branch, generation, id) > (:after_node, :after_branch, :after_generation, :after_id)
  AND (CAST(:state AS SMALLINT) IS NULL OR state = :state) AND (CAST(:node AS BIGINT) IS NULL OR node = :node)
ORDER BY node, branch, generation, id LIMIT :limit;

-- name: past_ids
SELECT id FROM past_task WHERE run = :run ORDER BY id;

-- name: successors
-- The task that stands now where a replaced one stood.
SELECT id FROM task WHERE run = :run AND node = :node AND branch = :branch;
