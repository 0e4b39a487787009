-- name: lock_schedule
-- After the runs, before gates and tasks.
SELECT id, namespace, name, spec, paused, created_at, next_at FROM schedule WHERE id = :id FOR NO KEY UPDATE;
