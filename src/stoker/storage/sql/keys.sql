-- Limits by a value: what both databases read alike. What is locked is in each one's own.

-- name: key_heads
-- Gate after gate with READY tasks in each of these lanes, from behind one on, so many of each lane; one look into an
-- index each, however many tasks there are. With the leases of each, which another transaction may just be changing.
WITH RECURSIVE walk (lane, gate, place) AS (
    SELECT l.id, (SELECT MIN(gate) FROM task WHERE lane = l.id AND gate > :after AND state = 1 AND due_at IS NULL), 1
    FROM lane AS l WHERE l.id = ANY(:lanes)
    UNION ALL
    SELECT w.lane, (SELECT MIN(gate) FROM task WHERE lane = w.lane AND gate > w.gate AND state = 1 AND due_at IS NULL),
           w.place + 1
    FROM walk AS w WHERE w.gate IS NOT NULL AND w.place < :most
)
SELECT w.lane, (SELECT MIN(order_at) FROM task WHERE lane = w.lane AND gate = w.gate AND state = 1 AND due_at IS NULL),
       (SELECT COUNT(*) FROM task WHERE gate = w.gate AND state <= 2 AND state = 2),
       g.id, g.name, t.most, t.starts, t.per, g.next_at
FROM walk AS w JOIN gate AS g ON g.id = w.gate JOIN gate AS t ON t.id = COALESCE(g.template, g.id);

-- name: gates_named
SELECT name, id FROM gate WHERE namespace = :namespace AND name = ANY(:names);

-- name: put_task_gate
-- A task that is retried by hand stands under the gate of its value as that is now.
UPDATE task SET gate = :gate WHERE id = :id;
