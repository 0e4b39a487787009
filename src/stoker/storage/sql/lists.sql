-- Lists by filter: newest first, below a cursor. Each statement is one way in; what is asked besides is the same in all.

-- part: run_wanted
-- What a filter asks of a run `r`, besides when it was made. States, priorities and flags are always spelled out. A plus
-- keeps a database from looking for runs by what narrows nothing.
(CAST(:children AS BIGINT) = 1 OR r.root IS NULL)
  AND r.state = ANY(:states) AND r.priority = ANY(:priorities) AND r.stopping = ANY(:stopping)
  AND +r.id BETWEEN :id_low AND :id_high AND NOT (r.id = ANY(:not_ids))
  AND (CAST(:any_version AS BIGINT) = 1 OR r.version = ANY(:versions))
  AND (CAST(:any_token AS BIGINT) = 1 OR r.token = ANY(:run_tokens)) AND NOT (COALESCE(r.token, -1) = ANY(:not_tokens))
  AND (CAST(:any_end AS BIGINT) = 1 OR r.ended_at BETWEEN :ended_low AND :ended_high)
  AND (CAST(:any_key AS BIGINT) = 1 OR NOT EXISTS (
      SELECT 1 FROM run_key AS k WHERE k.run = r.id AND k.name || '' = ANY(:not_keys)))
  AND (CAST(:tags_wanted AS BIGINT) = 0 OR :tags_wanted = (
      SELECT COUNT(*) FROM run_tag AS t WHERE t.run = r.id AND t.name || CAST(:gap AS TEXT) || t.value = ANY(:tags)))
  AND (CAST(:any_tag AS BIGINT) = 1 OR NOT EXISTS (
      SELECT 1 FROM run_tag AS t WHERE t.run = r.id AND t.name || CAST(:gap AS TEXT) || t.value = ANY(:not_tags)))

-- part: run_columns
SELECT r.id, r.namespace, r.version, r.state, r.stopping, r.priority, r.last_order_at, r.open, r.tasks, r.failed,
       r.created_at, r.ended_at, r.cancel_at, r.weight, r.root, r.parent, r.schedule, r.scheduled_at,
       r.traceparent, r.token

-- name: runs_all
<<run_columns>>
FROM run AS r WHERE r.namespace = :namespace AND (r.created_at, r.id) < (:before_at, :before_id) AND r.created_at >= :since
  AND <<run_wanted>>
ORDER BY r.created_at DESC, r.id DESC LIMIT :limit;

-- name: runs_of_version
-- The version stands in the index, so that other runs are passed by without a look at them.
<<run_columns>>
FROM run AS r WHERE r.namespace = :namespace AND (r.created_at, r.id) < (:before_at, :before_id) AND r.created_at >= :since
  AND r.version = :version AND <<run_wanted>>
ORDER BY r.created_at DESC, r.id DESC LIMIT :limit;

-- name: runs_troubled
-- By the index of those in which something failed, or whose cancel was asked for: all that ended FAILED or CANCELLED.
<<run_columns>>
FROM run AS r WHERE r.namespace = :namespace AND (r.created_at, r.id) < (:before_at, :before_id) AND r.created_at >= :since
  AND (r.failed > 0 OR r.cancel_at IS NOT NULL) AND <<run_wanted>>
ORDER BY r.created_at DESC, r.id DESC LIMIT :limit;

-- name: runs_by_id
<<run_columns>>
FROM run AS r
WHERE +r.namespace = :namespace AND (+r.created_at, r.id) < (:before_at, :before_id) AND +r.created_at >= :since
  AND r.id = ANY(:ids) AND <<run_wanted>>
ORDER BY r.created_at DESC, r.id DESC LIMIT :limit;

-- name: runs_tagged
-- Tags carry when their run was made, so that their index has the order of the list.
<<run_columns>>
FROM run_tag AS g CROSS JOIN run AS r
WHERE g.namespace = :namespace AND (g.created_at, g.run) < (:before_at, :before_id) AND g.created_at >= :since
  AND g.name = :name AND g.value = :value AND r.id = g.run AND r.namespace = g.namespace AND <<run_wanted>>
ORDER BY g.created_at DESC, g.run DESC LIMIT :limit;

-- name: running_runs
-- Up to so many runs with something to do, in any namespace; all that are spread or stopped just now; all that stay.
WITH RECURSIVE busy (run) AS (
    SELECT MIN(run) FROM task WHERE state <= 2
    UNION ALL
    SELECT (SELECT MIN(run) FROM task WHERE state <= 2 AND run > busy.run) FROM busy WHERE busy.run IS NOT NULL
), live (run) AS (
    SELECT MIN(run) FROM live_node
    UNION ALL
    SELECT (SELECT MIN(run) FROM live_node WHERE run > live.run) FROM live WHERE live.run IS NOT NULL
)
SELECT run FROM (SELECT run FROM busy WHERE run IS NOT NULL LIMIT :limit) AS b
UNION SELECT r.id FROM live AS l CROSS JOIN run AS r WHERE r.id = l.run AND r.state = :running
UNION SELECT run FROM spread WHERE state = 1
UNION SELECT id FROM run WHERE stopping > 0;

-- name: runs_below
-- The child runs of these.
SELECT id FROM run WHERE root = ANY(:roots);

-- name: runs_by_key
SELECT run FROM run_key WHERE namespace = :namespace AND name = ANY(:keys);

-- name: version_numbers
-- Every version of some graphs, or of all.
SELECT id, graph, number FROM version
WHERE namespace IN (:namespace, -CAST(:namespace AS BIGINT)) AND (CAST(:all_graphs AS BIGINT) = 1 OR graph = ANY(:graphs));

-- name: task_page
-- The tasks of a run that a filter asks for, by node and branch.
SELECT id, run, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at, parent,
       element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
       gate, expires_at, cancel_at, until
FROM task
WHERE run = :run AND (node, branch, generation) > (:after_node, :after_branch, :after_generation)
  AND node <= :last_node AND node = ANY(:nodes) AND state = ANY(:states) AND +created_at BETWEEN :created_low AND :created_high
  AND (CAST(:any_code AS BIGINT) = 1 OR code = ANY(:codes)) AND NOT (code = ANY(:not_codes))
  AND (CAST(:any_id AS BIGINT) = 1 OR id = ANY(:ids)) AND NOT (id = ANY(:not_ids)) AND +id BETWEEN :id_low AND :id_high
  AND (CAST(:any_attempt AS BIGINT) = 1 OR attempt = ANY(:attempts)) AND NOT (attempt = ANY(:not_attempts))
  AND attempt BETWEEN :attempt_low AND :attempt_high
  AND (CAST(:any_failures AS BIGINT) = 1 OR failures = ANY(:failures)) AND NOT (failures = ANY(:not_failures))
  AND failures BETWEEN :failures_low AND :failures_high
  AND (CAST(:any_losses AS BIGINT) = 1 OR losses = ANY(:losses)) AND NOT (losses = ANY(:not_losses))
  AND losses BETWEEN :losses_low AND :losses_high
ORDER BY node, branch, generation LIMIT :limit;
