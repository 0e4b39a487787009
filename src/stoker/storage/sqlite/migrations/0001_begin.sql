-- The first schema. Times are UTC microseconds, states the numbers of core/states.py, branches the bytes of core/branch.py.

CREATE TABLE namespace (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- The next unreserved id of each sequence; servers take blocks.
CREATE TABLE sequence (name TEXT PRIMARY KEY, next BIGINT NOT NULL);

CREATE TABLE kind (
    namespace BIGINT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, name)
);

-- One row per graph version; versions are immutable. `kinds` are the kinds as they were when it was pushed.
CREATE TABLE version (
    id INTEGER PRIMARY KEY,
    namespace BIGINT NOT NULL,
    graph TEXT NOT NULL,
    number BIGINT NOT NULL,
    hash TEXT NOT NULL,
    spec TEXT NOT NULL,
    kinds TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (namespace, graph, number)
);

-- A lane is a queue of READY tasks that are alike to runners.
CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    namespace BIGINT NOT NULL,
    kind TEXT NOT NULL,
    requires TEXT NOT NULL,
    UNIQUE (namespace, kind, requires)
);

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    namespace BIGINT NOT NULL,
    version BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    stopping SMALLINT NOT NULL,
    priority SMALLINT NOT NULL,
    last_order_at BIGINT NOT NULL,
    open BIGINT NOT NULL,
    tasks BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    cancel_at BIGINT
);
CREATE INDEX run_page ON run (namespace, created_at, id);
CREATE INDEX run_stopping ON run (id) WHERE stopping = 1 AND ended_at IS NULL;

-- Only runs with inputs have a row: input name to JSON, as received.
CREATE TABLE run_input (run BIGINT PRIMARY KEY, body BLOB NOT NULL);

-- Only runs triggered with an idempotency key have a row.
CREATE TABLE run_key (
    namespace BIGINT NOT NULL,
    name TEXT NOT NULL,
    run BIGINT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (namespace, name)
);
CREATE INDEX run_key_run ON run_key (run);

CREATE TABLE task (
    id INTEGER PRIMARY KEY,
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    branch BLOB NOT NULL,
    generation BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    attempt BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    losses BIGINT NOT NULL,
    priority SMALLINT NOT NULL,
    lane BIGINT NOT NULL,
    order_at BIGINT NOT NULL,
    due_at BIGINT,
    parent BIGINT,
    element BLOB,
    session BIGINT,
    answer BIGINT NOT NULL,
    deadline BIGINT,
    ended SMALLINT NOT NULL,
    withheld SMALLINT NOT NULL,
    code TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    claimed_at BIGINT,
    settled_at BIGINT
);
CREATE UNIQUE INDEX task_identity ON task (run, node, branch, generation);
CREATE INDEX task_lane ON task (lane, order_at) WHERE state = 1 AND due_at IS NULL;
CREATE INDEX task_live ON task (run, node) WHERE state <= 2;
CREATE INDEX task_lease ON task (session) WHERE state = 2;
CREATE INDEX task_due ON task (due_at) WHERE state = 1 AND due_at IS NOT NULL;
CREATE INDEX task_deadline ON task (deadline) WHERE state = 2 AND deadline IS NOT NULL;

-- Immutable. `blob`: the bytes lie in the artifact store under this key, and `body` is empty.
CREATE TABLE item (
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    branch BLOB NOT NULL,
    item BIGINT NOT NULL,
    size BIGINT NOT NULL,
    body BLOB,
    blob TEXT,
    PRIMARY KEY (run, node, branch, item)
) WITHOUT ROWID;

CREATE TABLE join_row (
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    branch BLOB NOT NULL,
    open BIGINT NOT NULL,
    members BIGINT NOT NULL,
    arrived BIGINT NOT NULL,
    empty BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    PRIMARY KEY (run, node, branch)
) WITHOUT ROWID;

-- Created and settled tasks of a node that can have several; a node with one task has no row.
CREATE TABLE node_count (
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    created BIGINT NOT NULL,
    succeeded BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    pruned BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    PRIMARY KEY (run, node)
) WITHOUT ROWID;

-- Attempts that did not settle their task well.
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    task BIGINT NOT NULL,
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    type TEXT NOT NULL,
    traceback TEXT NOT NULL,
    session BIGINT,
    started_at BIGINT,
    ended_at BIGINT NOT NULL
);
CREATE INDEX attempt_task ON attempt (task, attempt);

CREATE TABLE progress (
    task BIGINT PRIMARY KEY,
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    fraction DOUBLE PRECISION,
    message TEXT NOT NULL
);

CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    run BIGINT NOT NULL,
    task BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    stream TEXT NOT NULL,
    at BIGINT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (task, attempt, seq)
);
CREATE INDEX log_run ON log (run, id);

-- One start of a runner process. `until`: when its leases end unless it is heard of.
CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    namespace BIGINT NOT NULL,
    secret BLOB NOT NULL UNIQUE,
    info TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    until BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX session_until ON session (until) WHERE ended_at IS NULL;

CREATE TABLE artifact (
    id INTEGER PRIMARY KEY,
    namespace BIGINT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    blob TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE token (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    namespaces TEXT NOT NULL,
    kinds TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
