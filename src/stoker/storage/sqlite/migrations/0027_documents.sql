-- Records that no rule of the engine reads. `parent`: what it belongs to, by whatever key its sort says.
CREATE TABLE document (
    namespace BIGINT NOT NULL,
    sort TEXT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT,
    parent TEXT,
    body BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, sort, id)
);
CREATE UNIQUE INDEX document_name ON document (namespace, sort, name) WHERE name IS NOT NULL;
CREATE INDEX document_parent ON document (namespace, sort, parent, id) WHERE parent IS NOT NULL;

-- What ids that people see are signed with: the newest signs, all of them are believed.
CREATE TABLE opaque_key (id BIGINT PRIMARY KEY, key BLOB NOT NULL, created_at BIGINT NOT NULL);
