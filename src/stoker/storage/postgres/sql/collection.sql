-- Where handles of artifacts may be: values in which `$artifact` stands, or a character by its number. Others come
-- without their bytes, so that a page ends where it ends.

-- name: item_handles
SELECT p.run, p.node, p.branch, p.item, p.blob, CASE WHEN position('\x246172746966616374'::BYTEA IN p.body) > 0 OR position('\x5c753030'::BYTEA IN p.body) > 0 THEN p.body END
FROM (SELECT run, node, branch, item, body, blob FROM item
      WHERE (run, node, branch, item) > (:run, :node, :branch, :item)
      ORDER BY run, node, branch, item LIMIT :limit) AS p
ORDER BY p.run, p.node, p.branch, p.item;

-- name: past_item_handles
SELECT p.run, p.node, p.branch, p.generation, p.item, p.blob, CASE WHEN position('\x246172746966616374'::BYTEA IN p.body) > 0 OR position('\x5c753030'::BYTEA IN p.body) > 0 THEN p.body END
FROM (SELECT run, node, branch, generation, item, body, blob FROM past_item
      WHERE (run, node, branch, generation, item) > (:run, :node, :branch, :generation, :item)
      ORDER BY run, node, branch, generation, item LIMIT :limit) AS p
ORDER BY p.run, p.node, p.branch, p.generation, p.item;

-- name: run_input_handles
SELECT p.run, NULL, CASE WHEN position('\x246172746966616374'::BYTEA IN p.body) > 0 OR position('\x5c753030'::BYTEA IN p.body) > 0 THEN p.body END
FROM (SELECT run, body FROM run_input WHERE run > :run ORDER BY run LIMIT :limit) AS p ORDER BY p.run;

-- name: run_store_handles
SELECT p.run, NULL, CASE WHEN position('\x246172746966616374'::BYTEA IN p.body) > 0 OR position('\x5c753030'::BYTEA IN p.body) > 0 THEN p.body END
FROM (SELECT run, body FROM run_store WHERE run > :run ORDER BY run LIMIT :limit) AS p ORDER BY p.run;
