-- Tags of runs; bound one by one.

-- name: insert_run_tag
INSERT INTO run_tag (run, name, value, namespace, created_at) VALUES (:run, :name, :value, :namespace, :created_at);
