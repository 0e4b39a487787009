-- What a task was given and gave, looked up long after. Nothing on the way of a task reads it.

-- name: late_below
-- Where what stands now was not there yet at some time: made by a retry or a re-run since.
SELECT branch FROM task
WHERE run = :run AND node = :node AND branch >= :prefix AND branch < :end AND (attempt > 1 OR generation > 0)
  AND (claimed_at > :at OR (claimed_at = :at AND generation > :generation));

-- name: past_items_below
-- Items that a re-run replaced, each with the task that gave it; of one place the newest last.
SELECT i.run, i.node, i.branch, i.item, i.size, i.body, i.blob, p.body
FROM past_item AS i JOIN past_task AS p
  ON p.run = i.run AND p.node = i.node AND p.branch = i.branch AND p.generation = i.generation
WHERE i.run = :run AND i.node = :node AND i.branch >= :prefix AND i.branch < :end
ORDER BY i.branch, i.generation, i.item;

-- name: past_items
SELECT run, node, branch, item, size, body, blob FROM past_item
WHERE run = :run AND node = :node AND branch = :branch AND generation = :generation ORDER BY item;

-- name: outputs_at
-- By node of a live run, the newest output that counted for others at some time.
SELECT o.node, MAX(o.number) FROM output AS o LEFT JOIN task AS t ON t.id = o.task
WHERE o.run = :run AND ((o.task IS NULL AND o.created_at <= :at)
  OR (t.state = 3 AND t.attempt = o.attempt AND t.settled_at <= :at))
GROUP BY o.node;

-- name: outputs_of
-- The outputs of an attempt of a live run, in order.
SELECT i.run, i.node, i.branch, i.item, i.size, i.body, i.blob
FROM output AS o JOIN item AS i ON i.run = o.run AND i.node = o.node AND i.branch = :root AND i.item = o.number
WHERE o.run = :run AND o.node = :node AND o.task = :task AND o.attempt = :attempt ORDER BY o.number;

-- name: node_tasks
-- The tasks of a node of a run, in branch order, behind the one last seen.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
       gate, expires_at, cancel_at, until
FROM task WHERE run = :run AND node = :node AND (branch, id) > (:branch, :after) ORDER BY branch, id LIMIT :limit;

-- name: version_hash
SELECT hash FROM version WHERE id = :id;

-- name: run_items
-- How many items a run has.
SELECT COUNT(*) FROM item WHERE run = :run;
