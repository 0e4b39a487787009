-- Schedules and their firings.

-- name: due_schedules
SELECT id FROM schedule WHERE next_at IS NOT NULL AND next_at <= :now ORDER BY next_at LIMIT :limit;

-- name: schedule_running
-- The runs of a schedule that still run, the newest first; of the last hundred that it started.
SELECT r.id FROM (
    SELECT run FROM schedule_firing WHERE schedule = :schedule AND run IS NOT NULL ORDER BY at DESC LIMIT 100
) AS f JOIN run AS r ON r.id = f.run WHERE r.state = 1 ORDER BY r.created_at DESC, r.id DESC LIMIT 1;

-- name: schedule_queued
SELECT at, behind FROM schedule_firing WHERE schedule = :schedule AND behind IS NOT NULL LIMIT 1;

-- name: fired_among
-- Which of these times something has become of.
SELECT at FROM schedule_firing WHERE schedule = :schedule AND extra = 0 AND at = ANY(:times);

-- name: queued_behind
-- What waits for the end of these runs.
SELECT schedule, at FROM schedule_firing WHERE behind = ANY(:runs) ORDER BY schedule, at;

-- name: schedule
SELECT id, namespace, name, spec, paused, created_at, next_at FROM schedule WHERE id = :id;

-- name: schedule_by_name
SELECT id, namespace, name, spec, paused, created_at, next_at FROM schedule
WHERE namespace = :namespace AND name = :name;

-- name: schedule_page
SELECT id, namespace, name, spec, paused, created_at, next_at FROM schedule
WHERE namespace = :namespace AND name > :after ORDER BY name LIMIT :limit;

-- name: schedule_names
SELECT id, name FROM schedule WHERE id = ANY(:ids);

-- name: insert_schedule
INSERT INTO schedule (id, namespace, name, spec, paused, created_at, next_at)
VALUES (:id, :namespace, :name, :spec, :paused, :created_at, :next_at)
ON CONFLICT (namespace, name) DO NOTHING RETURNING id;

-- name: update_schedule
UPDATE schedule SET spec = :spec, paused = :paused, next_at = :next_at WHERE id = :id;

-- name: schedule_next
UPDATE schedule SET next_at = :next_at WHERE id = :id;

-- name: delete_schedule
DELETE FROM schedule WHERE id = :id;

-- name: delete_firings
DELETE FROM schedule_firing WHERE schedule = :schedule;

-- name: insert_firing
INSERT INTO schedule_firing (schedule, at, extra, outcome, done_at, run, behind, until, reason)
VALUES (:schedule, :at, :extra, :outcome, :done_at, :run, :behind, :until, :reason);

-- name: settle_firing
-- What became of one that was queued.
UPDATE schedule_firing SET outcome = :outcome, done_at = :done_at, run = :run, behind = NULL, reason = :reason
WHERE schedule = :schedule AND at = :at AND extra = 0;

-- name: firing_page
SELECT at, extra, outcome, done_at, run, until, reason FROM schedule_firing
WHERE schedule = :schedule AND (at, extra) < (:before_at, :before_extra) ORDER BY at DESC, extra DESC LIMIT :limit;
