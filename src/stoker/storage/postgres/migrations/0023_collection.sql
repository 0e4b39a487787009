-- The collection of artifacts. Who names stored bytes is found by their key; only large items have one.
CREATE INDEX artifact_blob ON artifact (blob);
CREATE INDEX item_blob ON item (blob) WHERE blob IS NOT NULL;
CREATE INDEX past_item_blob ON past_item (blob) WHERE blob IS NOT NULL;

-- What keeps others from something for a while: `collect`, runs from being deleted while it is seen which artifacts they
-- name; `backup`, artifacts from being deleted while they are copied; `collected`, a collection that nobody asked for.
CREATE TABLE hold (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until BIGINT NOT NULL);
