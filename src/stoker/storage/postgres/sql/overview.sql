-- Tasks and items by their places, which come as columns.

-- name: task_at
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at, t.until
FROM unnest(CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[])) AS k (run, node, branch)
JOIN task AS t ON t.run = k.run AND t.node = k.node AND t.branch = k.branch;

-- name: more_at
-- How many items beyond the first stand there.
SELECT k.node, k.branch, COUNT(*)
FROM unnest(CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:branch AS BYTEA[])) AS k (run, node, branch)
JOIN item AS i ON i.run = k.run AND i.node = k.node AND i.branch = k.branch AND i.item > 0
GROUP BY k.node, k.branch;
