-- Tokens, and the roles that some of them have.

-- part: token_columns
SELECT t.id, t.name, t.scopes, t.namespaces, t.kinds, t.created_at, t.expires_at, t.revoked_at, t.role, r.scopes
FROM token AS t LEFT JOIN role AS r ON r.name = t.role

-- name: insert_token
INSERT INTO token (name, hash, scopes, namespaces, kinds, created_at, expires_at, role)
VALUES (:name, :hash, :scopes, :namespaces, :kinds, :now, :expires_at, :role) RETURNING id;

-- name: token_by_hash
<<token_columns>>
WHERE t.hash = :hash;

-- name: tokens
<<token_columns>>
ORDER BY t.id;

-- name: revoke_token
UPDATE token SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL RETURNING id, name;

-- name: roles
SELECT name, scopes FROM role ORDER BY name;

-- name: role
SELECT scopes FROM role WHERE name = :name;

-- name: put_role
INSERT INTO role (name, scopes, created_at, updated_at) VALUES (:name, :scopes, :now, :now)
ON CONFLICT (name) DO UPDATE SET scopes = excluded.scopes, updated_at = excluded.updated_at;

-- name: delete_role
DELETE FROM role WHERE name = :name RETURNING name;

-- name: role_tokens
-- How many tokens that can still be used have each role.
SELECT role, COUNT(*) FROM token
WHERE role IS NOT NULL AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now) GROUP BY role;
