-- Namespaces, kinds, graph versions, lanes, artifacts, facts, servers.

-- name: namespaces
SELECT id, name FROM namespace;

-- name: insert_namespace
INSERT INTO namespace (name) VALUES (:name) ON CONFLICT (name) DO NOTHING;

-- name: kinds
SELECT spec FROM kind WHERE namespace = :namespace ORDER BY name;

-- name: kind_namespaces
SELECT DISTINCT namespace FROM kind;

-- name: put_kind
INSERT INTO kind (namespace, name, spec, updated_at) VALUES (:namespace, :name, :spec, :now)
ON CONFLICT (namespace, name) DO UPDATE SET spec = excluded.spec, updated_at = excluded.updated_at;

-- name: latest_version
SELECT id, number, hash, created_at FROM version
WHERE namespace = :namespace AND graph = :graph ORDER BY number DESC LIMIT 1;

-- name: version_by_number
SELECT id, number, hash, created_at, spec FROM version
WHERE namespace = :namespace AND graph = :graph AND number = :number;

-- name: version
SELECT namespace, graph, number, spec, kinds FROM version WHERE id = :id;

-- name: version_names
SELECT id, graph, number FROM version WHERE id = ANY(:ids);

-- name: insert_version
INSERT INTO version (namespace, graph, number, hash, spec, kinds, created_at)
VALUES (:namespace, :graph, :number, :hash, :spec, :kinds, :now)
RETURNING id;

-- name: graphs
-- The newest version of each graph, by name.
SELECT graph, number, hash, created_at FROM version AS v
WHERE namespace = :namespace AND graph > :after
  AND number = (SELECT MAX(number) FROM version WHERE namespace = v.namespace AND graph = v.graph)
ORDER BY graph LIMIT :limit;

-- name: put_lane
INSERT INTO lane (namespace, kind, requires, gate, keyed) VALUES (:namespace, :kind, :requires, :gate, :keyed)
ON CONFLICT (namespace, kind, requires, gate) DO NOTHING;

-- name: lanes
SELECT id, namespace, kind, requires, gate, keyed FROM lane;

-- name: put_gate
-- When the next task may start is kept: a limit with other numbers does not begin anew.
INSERT INTO gate (namespace, name, most, starts, per, next_at) VALUES (:namespace, :name, :most, :starts, :per, 0)
ON CONFLICT (namespace, name) DO UPDATE SET most = excluded.most, starts = excluded.starts, per = excluded.per;

-- name: gates
-- The limits as graphs declare them, not the gates of single values.
SELECT id, name, most, starts, per, next_at FROM gate WHERE namespace = :namespace AND template IS NULL;

-- name: insert_artifact
INSERT INTO artifact (id, namespace, name, media_type, size, sha256, blob, created_at)
VALUES (:id, :namespace, :name, :media_type, :size, :sha256, :blob, :now);

-- name: artifact
SELECT id, name, media_type, size, sha256, blob, created_at FROM artifact
WHERE id = :id AND namespace = :namespace;

-- name: fact
SELECT value FROM fact WHERE name = :name;

-- name: put_fact
-- The first to say it is right.
INSERT INTO fact (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;

-- name: beat_server
INSERT INTO server (id, name, started_at, seen_at, ahead) VALUES (:id, :name, :started_at, :now, :ahead)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, ahead = excluded.ahead;

-- name: others
-- How many other servers were seen lately, how far ahead of the database's clock they are at most, and how many lanes
-- there are: the newest may have been committed first. Lately by their time, or by that of the database.
SELECT COUNT(*), MAX(ahead), (SELECT COUNT(*) FROM lane) FROM server
WHERE (seen_at > :since OR seen_at - ahead > :there) AND id <> :id;

-- name: servers
SELECT id, name, started_at, seen_at, ahead FROM server ORDER BY id;

-- name: remove_servers
-- One that ends, and those that have been gone for long.
DELETE FROM server WHERE id = :id OR seen_at < :before;
