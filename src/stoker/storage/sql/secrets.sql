-- Secrets, encrypted. Only what goes with a lease is ever opened.

-- name: secrets_named
SELECT name, key, sealed FROM secret WHERE namespace = :namespace AND name = ANY(:names);

-- name: secret_page
SELECT name, key, updated_at FROM secret
WHERE namespace = :namespace AND name > :after ORDER BY name LIMIT :limit;

-- name: secret_keys
SELECT key, COUNT(*) FROM secret GROUP BY key ORDER BY key;

-- name: put_secret
INSERT INTO secret (namespace, name, key, sealed, updated_at) VALUES (:namespace, :name, :key, :sealed, :now)
ON CONFLICT (namespace, name)
DO UPDATE SET key = excluded.key, sealed = excluded.sealed, updated_at = excluded.updated_at;

-- name: delete_secret
DELETE FROM secret WHERE namespace = :namespace AND name = :name RETURNING name;

-- name: secrets_to_rotate
SELECT namespace, name, key, sealed FROM secret
WHERE key <> :key AND (namespace, name) > (:namespace, :name) ORDER BY namespace, name LIMIT :limit;

-- name: rotate_secret
-- Unless it was set anew, or rotated by another, since it was read.
UPDATE secret SET key = :key, sealed = :sealed WHERE namespace = :namespace AND name = :name AND sealed = :was
RETURNING name;
