-- Live runs (core/live.py); runs of mode once have no row here. `bound`, `bound_before`: by node, the number of the
-- output that attempts from `since` on read, and earlier ones.
CREATE TABLE live_node (
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    task BIGINT,
    state SMALLINT NOT NULL,
    status TEXT NOT NULL,
    settled SMALLINT NOT NULL,
    outputs BIGINT NOT NULL,
    current_output BIGINT,
    giver BIGINT NOT NULL,
    given_by BIGINT NOT NULL,
    given BIGINT NOT NULL,
    since BIGINT NOT NULL,
    bound BYTEA NOT NULL,
    bound_before BYTEA NOT NULL,
    PRIMARY KEY (run, node)
);

-- Outputs of nodes; the value is the item of the same run and node with this number. Without task: published.
CREATE TABLE output (
    id BIGINT PRIMARY KEY,
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    number BIGINT NOT NULL,
    task BIGINT,
    attempt BIGINT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX output_place ON output (run, node, number DESC);
