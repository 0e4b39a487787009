-- Tags of runs; rows come as columns of arrays.

-- name: insert_run_tag
INSERT INTO run_tag (run, name, value, namespace, created_at)
SELECT * FROM unnest(
    CAST(:run AS BIGINT[]), CAST(:name AS TEXT[]), CAST(:value AS TEXT[]), CAST(:namespace AS BIGINT[]),
    CAST(:created_at AS BIGINT[]));
