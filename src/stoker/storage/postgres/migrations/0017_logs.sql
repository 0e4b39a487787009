-- How many bytes of its task's log end with this chunk, so that what a task may keep is bounded without adding it up.
ALTER TABLE log ADD COLUMN total BIGINT NOT NULL DEFAULT 0;
