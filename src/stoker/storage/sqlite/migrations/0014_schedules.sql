-- Schedules, what became of each of their times, and which of them started a run. `next_at`: not while one is paused.
CREATE TABLE schedule (
    id INTEGER PRIMARY KEY,
    namespace BIGINT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    paused SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    next_at BIGINT,
    UNIQUE (namespace, name)
);
CREATE INDEX schedule_next ON schedule (next_at) WHERE next_at IS NOT NULL;
-- `extra`: 0, or the run that was asked for by hand. `behind`: the run whose end a queued one waits for.
CREATE TABLE schedule_firing (
    schedule BIGINT NOT NULL,
    at BIGINT NOT NULL,
    extra BIGINT NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL,
    done_at BIGINT NOT NULL,
    run BIGINT,
    behind BIGINT,
    until BIGINT,
    reason TEXT NOT NULL,
    PRIMARY KEY (schedule, at, extra)
);
CREATE INDEX schedule_firing_run ON schedule_firing (schedule, at) WHERE run IS NOT NULL;
CREATE INDEX schedule_firing_behind ON schedule_firing (behind) WHERE behind IS NOT NULL;
ALTER TABLE run ADD COLUMN schedule BIGINT;
ALTER TABLE run ADD COLUMN scheduled_at BIGINT;
