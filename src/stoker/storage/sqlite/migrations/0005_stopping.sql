-- A run that has ended is no longer stopping, so that the index of those that are depends on nothing that changes when
-- other runs end.
UPDATE run SET stopping = 0 WHERE ended_at IS NOT NULL AND stopping = 1;
DROP INDEX run_stopping;
CREATE INDEX run_stopping ON run (id) WHERE stopping = 1;
