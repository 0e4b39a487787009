-- The collection of artifacts that nothing names, and what holds it up.

-- name: schedule_handles
SELECT id, NULL, spec FROM schedule WHERE id > :id ORDER BY id LIMIT :limit;

-- name: version_handles
SELECT id, NULL, spec FROM version WHERE id > :id ORDER BY id LIMIT :limit;

-- name: document_handles
SELECT namespace, sort, id, NULL, body FROM document
WHERE (namespace, sort, id) > (:namespace, :sort, :id) ORDER BY namespace, sort, id LIMIT :limit;

-- name: oldest_claim
-- Since when the attempt that goes on for the longest has been going on; a lost one may still be taken back.
SELECT MIN(claimed_at) FROM task WHERE state <= 2 AND claimed_at IS NOT NULL;

-- name: old_artifacts
SELECT id, size FROM artifact
WHERE id > :after AND created_at < :before AND namespace = ANY(:namespaces) ORDER BY id LIMIT :limit;

-- name: delete_artifacts
DELETE FROM artifact WHERE id = ANY(:ids) AND created_at < :before RETURNING id;

-- name: blob_artifacts
SELECT blob, id FROM artifact WHERE blob = ANY(:keys);

-- name: blob_items
SELECT blob FROM item WHERE blob IS NOT NULL AND blob = ANY(:keys)
UNION SELECT blob FROM past_item WHERE blob IS NOT NULL AND blob = ANY(:keys);

-- name: look_hold
-- Until when something is held; locked, so that nobody begins to hold it meanwhile.
INSERT INTO hold (name, holder, until) VALUES (:name, '', 0)
ON CONFLICT (name) DO UPDATE SET until = hold.until RETURNING until;

-- name: take_hold
-- Begin to hold something that nobody holds, or go on with it.
INSERT INTO hold (name, holder, until) VALUES (:name, :holder, :until)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE hold.until <= :now OR hold.holder = excluded.holder RETURNING until;

-- name: go_on_holding
-- Nothing if it was lost: somebody else may have begun.
UPDATE hold SET until = :until WHERE name = :name AND holder = :holder AND until > :now RETURNING until;

-- name: end_hold
UPDATE hold SET until = 0 WHERE name = :name AND holder = :holder;

-- name: usage_runs
SELECT namespace, COUNT(*) FROM run GROUP BY namespace;

-- name: usage_tasks
SELECT r.namespace, COUNT(*) FROM task AS t JOIN run AS r ON r.id = t.run GROUP BY r.namespace;

-- name: usage_items
SELECT r.namespace, COUNT(*), CAST(COALESCE(SUM(i.size), 0) AS BIGINT)
FROM item AS i JOIN run AS r ON r.id = i.run GROUP BY r.namespace;

-- name: usage_logs
SELECT r.namespace, COUNT(*), CAST(COALESCE(SUM(LENGTH(l.text)), 0) AS BIGINT)
FROM log AS l JOIN run AS r ON r.id = l.run GROUP BY r.namespace;

-- name: usage_artifacts
SELECT namespace, COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM artifact GROUP BY namespace;

-- name: every_blob
-- The keys of all stored bytes that are named.
SELECT blob FROM artifact
UNION SELECT blob FROM item WHERE blob IS NOT NULL
UNION SELECT blob FROM past_item WHERE blob IS NOT NULL;
