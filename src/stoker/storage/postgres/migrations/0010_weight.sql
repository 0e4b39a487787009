-- How much a run gets of what runs share.
ALTER TABLE run ADD COLUMN weight SMALLINT NOT NULL DEFAULT 1;
