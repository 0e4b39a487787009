-- The audit log, as SQLite says it.

-- part: audit_named
EXISTS (SELECT 1 FROM json_each(:subjects) AS s WHERE instr(a.subjects, char(31) || s.value || char(31)) > 0)

-- name: insert_audit
INSERT INTO audit (at, token, name, namespace, verb, subjects, count, address, request, outcome, code, details)
VALUES (:at, :token, :name, :namespace, :verb, :subjects, :count, :address, :request, :outcome, :code, :details);
