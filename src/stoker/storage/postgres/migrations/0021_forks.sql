-- Where a run was forked from: the run whose tasks it took over, and at which node (and branch, as people read it).

CREATE TABLE run_fork (
    run BIGINT PRIMARY KEY,
    origin BIGINT NOT NULL,
    node TEXT NOT NULL,
    branch TEXT NOT NULL
);
