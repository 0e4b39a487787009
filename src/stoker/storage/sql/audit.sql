-- The audit log. `audit_named` (whether one of some subjects is among those of a row) is each database's own.

-- name: audit_page
-- Newest first, below a cursor. Texts: whether any is right, which are, which are not.
SELECT a.id, a.at, a.token, a.name, a.namespace, a.verb, a.subjects, a.count, a.address, a.request, a.outcome, a.code,
       a.details
FROM audit AS a
WHERE (a.at, a.id) < (:before_at, :before_id) AND a.at >= :since AND a.outcome = ANY(:outcomes)
  AND (CAST(:any_id AS BIGINT) = 1 OR a.id = ANY(:ids)) AND NOT (a.id = ANY(:not_ids))
  AND a.id BETWEEN :id_low AND :id_high
  AND (CAST(:any_token AS BIGINT) = 1 OR a.token = ANY(:tokens)) AND NOT (COALESCE(a.token, -1) = ANY(:not_tokens))
  AND (CAST(:any_name AS BIGINT) = 1 OR a.name = ANY(:names)) AND NOT (a.name = ANY(:not_names))
  AND (CAST(:any_namespace AS BIGINT) = 1 OR a.namespace = ANY(:namespaces)) AND NOT (a.namespace = ANY(:not_namespaces))
  AND (CAST(:any_verb AS BIGINT) = 1 OR a.verb = ANY(:verbs)) AND NOT (a.verb = ANY(:not_verbs))
  AND (CAST(:any_address AS BIGINT) = 1 OR a.address = ANY(:addresses)) AND NOT (a.address = ANY(:not_addresses))
  AND (CAST(:any_request AS BIGINT) = 1 OR a.request = ANY(:requests)) AND NOT (a.request = ANY(:not_requests))
  AND (CAST(:any_code AS BIGINT) = 1 OR a.code = ANY(:codes)) AND NOT (a.code = ANY(:not_codes))
  AND (CAST(:any_subject AS BIGINT) = 1 OR <<audit_named>>)
ORDER BY a.at DESC, a.id DESC LIMIT :limit;

-- name: audited
-- Whether a call that began then has left word about a subject: asked when a commit may have happened, or not.
SELECT a.id FROM audit AS a WHERE a.at = :at AND a.request = :request AND <<audit_named>>;

-- name: last_settings
SELECT details FROM audit WHERE verb = :verb AND subjects = :subjects ORDER BY at DESC, id DESC LIMIT 1;

-- name: forget_audit
DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < :before ORDER BY at, id LIMIT :limit) RETURNING id;
