-- Live runs; rows come as columns of arrays. The run's lock covers them.

-- name: put_live_node
INSERT INTO live_node (run, node, generation, task, state, status, settled, outputs, current_output, giver, given_by,
                       given, since, bound, bound_before)
SELECT * FROM unnest(
    CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:generation AS BIGINT[]), CAST(:task AS BIGINT[]),
    CAST(:state AS SMALLINT[]), CAST(:status AS TEXT[]), CAST(:settled AS SMALLINT[]), CAST(:outputs AS BIGINT[]),
    CAST(:current_output AS BIGINT[]), CAST(:giver AS BIGINT[]), CAST(:given_by AS BIGINT[]),
    CAST(:given AS BIGINT[]), CAST(:since AS BIGINT[]), CAST(:bound AS BYTEA[]), CAST(:bound_before AS BYTEA[]))
ON CONFLICT (run, node) DO UPDATE SET generation = excluded.generation, task = excluded.task,
    state = excluded.state, status = excluded.status, settled = excluded.settled, outputs = excluded.outputs, current_output = excluded.current_output,
    giver = excluded.giver, given_by = excluded.given_by, given = excluded.given, since = excluded.since,
    bound = excluded.bound, bound_before = excluded.bound_before;

-- name: insert_output
INSERT INTO output (id, run, node, number, task, attempt, name, created_at, key, about)
SELECT * FROM unnest(
    CAST(:id AS BIGINT[]), CAST(:run AS BIGINT[]), CAST(:node AS BIGINT[]), CAST(:number AS BIGINT[]),
    CAST(:task AS BIGINT[]), CAST(:attempt AS BIGINT[]), CAST(:name AS TEXT[]), CAST(:created_at AS BIGINT[]),
    CAST(:key AS TEXT[]), CAST(:about AS TEXT[]));
