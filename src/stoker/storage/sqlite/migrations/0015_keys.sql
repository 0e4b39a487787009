-- Limits by a value: a gate per value. `template`: the gate of the limit itself, which has the numbers. `used_at`: about
-- when a task was last made under it; one that was not used for long is removed.
ALTER TABLE gate ADD COLUMN template BIGINT;
ALTER TABLE gate ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX gate_used ON gate (used_at) WHERE template IS NOT NULL;

-- A lane whose tasks stand under many gates: its own is their template.
ALTER TABLE lane ADD COLUMN keyed BIGINT NOT NULL DEFAULT 0;

CREATE INDEX task_key ON task (lane, gate, order_at) WHERE state = 1 AND due_at IS NULL AND gate IS NOT NULL;
DROP INDEX task_gate;
CREATE INDEX task_gate ON task (gate, state) WHERE state <= 2 AND gate IS NOT NULL;
