-- How many runs a namespace has, in parts: who makes runs adds to one of them (by the id of the run), so that servers do
-- not wait for each other; -1: those that came or went otherwise. Child runs do not count.
CREATE TABLE run_total (
    namespace BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    runs BIGINT NOT NULL,
    PRIMARY KEY (namespace, slot)
) WITHOUT ROWID;
INSERT INTO run_total (namespace, slot, runs)
SELECT namespace, -1, COUNT(*) FROM run WHERE namespace > 0 AND root IS NULL GROUP BY namespace;

-- Retries by hand of single tasks: which attempt was followed by another, and the key that whoever asked gave.
CREATE TABLE task_retry (
    run BIGINT NOT NULL,
    task BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    name TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (run, task, attempt)
) WITHOUT ROWID;

-- What a run's pages count: attempts that ended badly, and items beyond the first of their task. A task that succeeds
-- with one item is in neither.
CREATE INDEX attempt_run ON attempt (run);
CREATE INDEX item_more ON item (run, node, branch) WHERE item > 0;
