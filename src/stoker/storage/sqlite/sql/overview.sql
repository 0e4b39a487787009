-- Tasks and items by their places; bound once per place.

-- name: task_at
SELECT t.id, t.run, t.node, t.branch, t.generation, t.state, t.attempt, t.failures, t.losses, t.priority, t.lane,
       t.order_at, t.due_at, t.parent, t.element, t.session, t.answer, t.deadline, t.ended, t.withheld, t.code,
       t.created_at, t.claimed_at, t.settled_at, t.gate, t.expires_at, t.cancel_at, t.until
FROM task AS t WHERE t.run = :run AND t.node = :node AND t.branch = :branch;

-- name: more_at
-- How many items beyond the first stand there.
SELECT node, branch, COUNT(*) FROM item WHERE run = :run AND node = :node AND branch = :branch AND item > 0
GROUP BY node, branch;
