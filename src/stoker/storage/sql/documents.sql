-- Records that no rule of the engine reads, and the keys of opaque ids.

-- part: document_columns
SELECT id, sort, name, parent, body, created_at, updated_at FROM document

-- name: document
<<document_columns>>
WHERE namespace = :namespace AND sort = :sort AND id = :id;

-- name: document_named
<<document_columns>>
WHERE namespace = :namespace AND sort = :sort AND name = :name;

-- name: documents
<<document_columns>>
WHERE namespace = :namespace AND sort = :sort ORDER BY id;

-- name: documents_of
<<document_columns>>
WHERE namespace = :namespace AND sort = :sort AND parent = :parent ORDER BY id;

-- name: insert_document
INSERT INTO document (namespace, sort, id, name, parent, body, created_at, updated_at)
VALUES (:namespace, :sort, :id, :name, :parent, :body, :now, :now);

-- name: update_document
UPDATE document SET name = :name, parent = :parent, body = :body, updated_at = :now
WHERE namespace = :namespace AND sort = :sort AND id = :id
RETURNING id;

-- name: delete_document
DELETE FROM document WHERE namespace = :namespace AND sort = :sort AND id = :id RETURNING id;

-- name: opaque_keys
SELECT key FROM opaque_key ORDER BY id DESC;

-- name: put_opaque_key
-- The next one; the first to say the number is right.
INSERT INTO opaque_key (id, key, created_at) VALUES (:id, :key, :now) ON CONFLICT (id) DO NOTHING;
