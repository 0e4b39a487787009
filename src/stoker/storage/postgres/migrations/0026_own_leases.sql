-- Until when the newest attempt of a task has, or had, its lease, if that is its own: no beat of a session keeps it.
ALTER TABLE task ADD COLUMN until BIGINT;
