-- The audit log, as PostgreSQL says it.

-- part: audit_named
EXISTS (SELECT 1 FROM unnest(CAST(:subjects AS TEXT[])) AS s (value) WHERE strpos(a.subjects, chr(31) || s.value || chr(31)) > 0)

-- name: insert_audit
INSERT INTO audit (at, token, name, namespace, verb, subjects, count, address, request, outcome, code, details)
SELECT * FROM unnest(
    CAST(:at AS BIGINT[]), CAST(:token AS BIGINT[]), CAST(:name AS TEXT[]), CAST(:namespace AS TEXT[]),
    CAST(:verb AS TEXT[]), CAST(:subjects AS TEXT[]), CAST(:count AS BIGINT[]), CAST(:address AS TEXT[]),
    CAST(:request AS TEXT[]), CAST(:outcome AS TEXT[]), CAST(:code AS TEXT[]), CAST(:details AS TEXT[]));
