-- Roles that are not built in; `scopes` is a JSON array. A token may have one, built in or not.
CREATE TABLE role (
    name TEXT COLLATE "C" PRIMARY KEY,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
ALTER TABLE token ADD COLUMN role TEXT;
