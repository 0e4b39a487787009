-- Key-values of runs, one JSON object each; only runs that were given some have a row.
CREATE TABLE run_store (run BIGINT PRIMARY KEY, body BLOB NOT NULL);
