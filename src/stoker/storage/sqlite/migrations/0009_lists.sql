-- Lists by filter. A list of one graph reads versions out of the index; a list of what FAILED or was CANCELLED has an
-- index of its own, of columns that a run which succeeds never changes.
DROP INDEX run_page;
CREATE INDEX run_page ON run (namespace, created_at, id, version);
CREATE INDEX run_troubled ON run (namespace, created_at, id) WHERE failed > 0 OR cancel_at IS NOT NULL;
