-- name: lock_schedule
-- A schedule that is to be changed: a transaction is alone, so that is nothing more than reading it.
SELECT id, namespace, name, spec, paused, created_at, next_at FROM schedule WHERE id = :id;
