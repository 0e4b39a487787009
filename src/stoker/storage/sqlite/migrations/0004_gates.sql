-- Limits by key: how many tasks run at once, how many start per time. `next_at`: when the next start would be due if
-- they came evenly (core/gate.py). Slots are not kept: they are the leases, counted.
CREATE TABLE gate (
    id INTEGER PRIMARY KEY,
    namespace BIGINT NOT NULL,
    name TEXT NOT NULL,
    most BIGINT,
    starts BIGINT,
    per BIGINT,
    next_at BIGINT NOT NULL,
    UNIQUE (namespace, name)
);

ALTER TABLE task ADD COLUMN gate BIGINT;
CREATE INDEX task_gate ON task (gate) WHERE state = 2 AND gate IS NOT NULL;

-- Tasks under different limits stand in different lanes; 0: under none.
ALTER TABLE lane RENAME TO lane_before;
CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    namespace BIGINT NOT NULL,
    kind TEXT NOT NULL,
    requires TEXT NOT NULL,
    gate BIGINT NOT NULL,
    UNIQUE (namespace, kind, requires, gate)
);
INSERT INTO lane (id, namespace, kind, requires, gate) SELECT id, namespace, kind, requires, 0 FROM lane_before;
DROP TABLE lane_before;
