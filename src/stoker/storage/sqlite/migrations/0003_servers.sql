-- Servers that work on this database; one that was not seen for a while is gone. `ahead`: its clock before the database's.
CREATE TABLE server (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    ahead BIGINT NOT NULL
);

-- What is true of the whole installation.
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
