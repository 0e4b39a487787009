-- Wide fan-out in slices: a row stands for tasks of one node that are still to be made. `branch`: above all of them;
-- `places`: where each stands below that, with its element (core/spread.py).
CREATE TABLE spread (
    id INTEGER PRIMARY KEY,
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    branch BLOB NOT NULL,
    parent BIGINT,
    tasks BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    places BLOB NOT NULL
);
CREATE INDEX spread_run ON spread (run);
CREATE INDEX spread_ready ON spread (id) WHERE state = 1;
