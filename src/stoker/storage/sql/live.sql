-- Live runs: their nodes, and what those gave.

-- name: open_tasks
-- What of these runs is READY or LEASED.
SELECT id FROM task WHERE run = ANY(:runs) AND state <= 2;

-- name: live_nodes
-- All nodes of live runs.
SELECT run, node, generation, task, state, status, settled, outputs, current_output, giver, given_by, given, since,
       bound, bound_before
FROM live_node WHERE run = ANY(:runs);

-- name: live_node_of
-- The node of an attempt that a session holds, as it is in that very moment.
SELECT l.run, l.node, l.generation, l.task, l.state, l.status, l.settled, l.outputs, l.current_output, l.giver,
       l.given_by, l.given, l.since, l.bound, l.bound_before
FROM task AS t JOIN live_node AS l ON l.run = t.run AND l.node = t.node AND l.task = t.id
WHERE t.id = :task AND t.attempt = :attempt AND t.session = :session AND t.state = 2;

-- name: output_page
-- By node, the newest first, below a cursor; node and current are optional (NULL). An output of an attempt counts for
-- others once that has completed.
SELECT o.id, o.run, o.node, o.number, o.task, o.attempt, o.name, o.created_at, i.size, i.body, l.current_output,
       CASE WHEN o.task IS NULL OR (t.state = 3 AND t.attempt = o.attempt) THEN 1 ELSE 0 END, o.about
FROM output AS o
JOIN item AS i ON i.run = o.run AND i.node = o.node AND i.branch = :root AND i.item = o.number
JOIN live_node AS l ON l.run = o.run AND l.node = o.node
LEFT JOIN task AS t ON t.id = o.task
WHERE o.run = :run AND o.node >= :after_node AND (o.node > :after_node OR o.number < :after_number)
  AND (CAST(:node AS BIGINT) IS NULL OR o.node = :node)
  AND (CAST(:current AS SMALLINT) IS NULL OR o.number = l.current_output)
ORDER BY o.node, o.number DESC LIMIT :limit;

-- name: output_with_key
-- The output that an attempt gave with this name and key.
SELECT id, run, node, number, task, attempt, name, created_at, key, about FROM output
WHERE run = :run AND node = :node AND task = :task AND attempt = :attempt AND name = :name AND key = :key
ORDER BY number LIMIT 1;

-- name: outputs_numbered
-- Outputs by the numbers that they have among those of their nodes.
SELECT o.id, o.run, o.node, o.number, o.task, o.attempt, o.name, o.created_at, i.size, i.body, l.current_output,
       CASE WHEN o.task IS NULL OR (t.state = 3 AND t.attempt = o.attempt) THEN 1 ELSE 0 END, o.about
FROM output AS o
JOIN item AS i ON i.run = o.run AND i.node = o.node AND i.branch = :root AND i.item = o.number
JOIN live_node AS l ON l.run = o.run AND l.node = o.node
LEFT JOIN task AS t ON t.id = o.task
WHERE o.run = :run AND o.node = ANY(:nodes) AND o.number = ANY(:numbers);

-- name: output_exists
SELECT 1 FROM output WHERE id = :id;

-- name: current_outputs
-- By node, the id of the output that others read.
SELECT o.node, o.id FROM live_node AS l JOIN output AS o ON o.run = l.run AND o.node = l.node
WHERE l.run = :run AND o.number = l.current_output;

-- name: output
SELECT o.id, o.run, o.node, o.number, o.task, o.attempt, o.name, o.created_at, i.size, i.body, l.current_output,
       CASE WHEN o.task IS NULL OR (t.state = 3 AND t.attempt = o.attempt) THEN 1 ELSE 0 END, o.about
FROM output AS o
JOIN item AS i ON i.run = o.run AND i.node = o.node AND i.branch = :root AND i.item = o.number
JOIN live_node AS l ON l.run = o.run AND l.node = o.node
LEFT JOIN task AS t ON t.id = o.task
WHERE o.id = :id;
