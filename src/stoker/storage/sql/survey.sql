-- How much of everything there is, in the words that people know.

-- name: survey
SELECT (SELECT COUNT(*) FROM namespace), (SELECT COUNT(*) FROM (SELECT DISTINCT namespace, graph FROM version) AS g),
       (SELECT COUNT(*) FROM task), (SELECT COUNT(*) FROM artifact),
       (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM artifact),
       (SELECT COUNT(*) FROM token WHERE revoked_at IS NULL);

-- name: survey_runs
SELECT state, COUNT(*) FROM run GROUP BY state ORDER BY state;
