-- Secrets, encrypted. Only what goes with a lease is ever opened.

-- name: secrets_named
SELECT name, key, sealed FROM secret WHERE namespace = :namespace AND name = ANY(:names);

-- name: secret_page
SELECT name, key, updated_at FROM secret
WHERE namespace = :namespace AND name > :after ORDER BY name LIMIT :limit;

-- part: every_secret
-- Those of namespaces, which have no graph, and those of graphs.
FROM (
    SELECT namespace, '' AS graph, name, key, sealed FROM secret
    UNION ALL
    SELECT namespace, graph, name, key, sealed FROM graph_secret
) AS every

-- name: secret_keys
SELECT key, COUNT(*)
<<every_secret>>
GROUP BY key ORDER BY key;

-- name: put_secret
INSERT INTO secret (namespace, name, key, sealed, updated_at) VALUES (:namespace, :name, :key, :sealed, :now)
ON CONFLICT (namespace, name)
DO UPDATE SET key = excluded.key, sealed = excluded.sealed, updated_at = excluded.updated_at;

-- name: delete_secret
DELETE FROM secret WHERE namespace = :namespace AND name = :name RETURNING name;

-- name: secrets_to_rotate
SELECT namespace, graph, name, key, sealed
<<every_secret>>
WHERE key <> :key AND (namespace, graph, name) > (:namespace, :graph, :name)
ORDER BY namespace, graph, name LIMIT :limit;

-- name: rotate_secret
-- Unless it was set anew, or rotated by another, since it was read.
UPDATE secret SET key = :key, sealed = :sealed WHERE namespace = :namespace AND name = :name AND sealed = :was
RETURNING name;

-- name: rotate_graph_secret
UPDATE graph_secret SET key = :key, sealed = :sealed
WHERE namespace = :namespace AND graph = :graph AND name = :name AND sealed = :was
RETURNING name;

-- name: graph_secrets
SELECT name FROM graph_secret WHERE namespace = :namespace AND graph = :graph ORDER BY name;

-- name: graph_secrets_named
SELECT name, key, sealed FROM graph_secret WHERE namespace = :namespace AND graph = :graph AND name = ANY(:names);

-- name: delete_graph_secrets
DELETE FROM graph_secret WHERE namespace = :namespace AND graph = :graph;

-- name: put_graph_secret
INSERT INTO graph_secret (namespace, graph, name, key, sealed, updated_at)
VALUES (:namespace, :graph, :name, :key, :sealed, :now);
