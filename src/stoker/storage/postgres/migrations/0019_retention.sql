-- What is kept of runs that have ended, by namespace, as JSON (core/keep_views.py); no row: what the settings say.
CREATE TABLE keep (namespace BIGINT PRIMARY KEY, spec TEXT NOT NULL);
