-- Outputs of an attempt with the same key are one. `about`: what whoever gave an output says of it, for other eyes.
ALTER TABLE output ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE output ADD COLUMN about TEXT NOT NULL DEFAULT '';
