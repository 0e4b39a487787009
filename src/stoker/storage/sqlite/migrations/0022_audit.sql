-- Who did what. Rows are added, and removed when they are old enough; none is changed. `token`: 0 is the server's own, NULL
-- nobody's. `subjects`: what it was done to, each between two characters 31. `count`: of these, or of refusals.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at BIGINT NOT NULL,
    token BIGINT,
    name TEXT NOT NULL,
    namespace TEXT NOT NULL,
    verb TEXT NOT NULL,
    subjects TEXT NOT NULL,
    count BIGINT NOT NULL,
    address TEXT NOT NULL,
    request TEXT NOT NULL,
    outcome TEXT NOT NULL,
    code TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX audit_page ON audit (at, id);
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'rows of the audit log do not change');
END;

-- Whose token started a run: 0 the server's own; NULL for those of schedules, child runs, and from before.
ALTER TABLE run ADD COLUMN token BIGINT;
