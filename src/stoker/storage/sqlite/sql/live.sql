-- Live runs; bound one by one.

-- name: put_live_node
INSERT INTO live_node (run, node, generation, task, state, status, settled, outputs, current_output, giver, given_by,
                       given, since, bound, bound_before)
VALUES (:run, :node, :generation, :task, :state, :status, :settled, :outputs, :current_output, :giver, :given_by,
        :given, :since, :bound, :bound_before)
ON CONFLICT (run, node) DO UPDATE SET generation = excluded.generation, task = excluded.task,
    state = excluded.state, status = excluded.status, settled = excluded.settled, outputs = excluded.outputs, current_output = excluded.current_output,
    giver = excluded.giver, given_by = excluded.given_by, given = excluded.given, since = excluded.since,
    bound = excluded.bound, bound_before = excluded.bound_before;

-- name: insert_output
INSERT INTO output (id, run, node, number, task, attempt, name, created_at, key, about)
VALUES (:id, :run, :node, :number, :task, :attempt, :name, :created_at, :key, :about);
