-- Times of tasks: `expires_at` is the end of the whole task, `deadline` what is due next of it, also while it is READY;
-- `cancel_at`: when its own cancel was asked for.
ALTER TABLE task ADD COLUMN expires_at BIGINT;
ALTER TABLE task ADD COLUMN cancel_at BIGINT;
DROP INDEX task_deadline;
CREATE INDEX task_deadline ON task (deadline) WHERE state <= 2 AND deadline IS NOT NULL;
ALTER TABLE spread ADD COLUMN expires_at BIGINT;

-- A run stops for one of several reasons.
DROP INDEX run_stopping;
CREATE INDEX run_stopping ON run (id) WHERE stopping > 0;
