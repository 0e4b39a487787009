-- Child runs: the run at the top of the tree, whose row all runs of the tree are locked by, and the task that waits.
ALTER TABLE run ADD COLUMN root BIGINT;
ALTER TABLE run ADD COLUMN parent BIGINT;
CREATE INDEX run_child ON run (id, root) WHERE root IS NOT NULL;
CREATE INDEX run_root ON run (root) WHERE root IS NOT NULL;
CREATE INDEX run_parent ON run (parent) WHERE parent IS NOT NULL;
