-- A re-run below gives joins that fired, and all below them, the next generation. What stood there before belongs to the
-- past: tasks whole, as msgpack (core/model.py), and their items.
ALTER TABLE join_row ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE spread ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
CREATE TABLE past_task (
    id BIGINT PRIMARY KEY,
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    branch BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX past_task_page ON past_task (run, node, branch, generation, id);
CREATE TABLE past_item (
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    branch BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    item BIGINT NOT NULL,
    size BIGINT NOT NULL,
    body BYTEA,
    blob TEXT,
    PRIMARY KEY (run, node, branch, generation, item)
);
