-- Tags of runs; only runs that have some have rows. When its run was made stands beside each, so that the runs of a tag
-- are read newest first.
CREATE TABLE run_tag (
    run BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    namespace BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (run, name)
);
CREATE INDEX run_tag_page ON run_tag (namespace, name, value, created_at, run);
