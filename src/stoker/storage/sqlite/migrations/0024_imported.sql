-- Runs that were brought here as archives; they are looked at, and not run on. `until`: one that is just being brought, and
-- by when that has died if nothing more is heard of it. Its runs have the namespace 0 for as long.
CREATE TABLE imported (
    run BIGINT PRIMARY KEY,
    namespace BIGINT NOT NULL,
    origin TEXT NOT NULL,
    at BIGINT NOT NULL,
    until BIGINT
);
CREATE INDEX imported_until ON imported (until) WHERE until IS NOT NULL;
