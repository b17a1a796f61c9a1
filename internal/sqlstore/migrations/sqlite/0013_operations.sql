-- Long bulk work: see package operation.
CREATE TABLE operations (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    kind          TEXT    NOT NULL,
    group_id      INTEGER NOT NULL,
    group_name    TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    active        TEXT, -- kind and group until it ended, then NULL: one of a kind and group goes on at a time
    options       TEXT    NOT NULL, -- JSON
    done          INTEGER NOT NULL,
    total         INTEGER NOT NULL,
    counts        TEXT    NOT NULL, -- JSON
    position      INTEGER NOT NULL,
    input_bytes   INTEGER NOT NULL,
    result_chunks INTEGER NOT NULL,
    result_bytes  INTEGER NOT NULL,
    error         TEXT    NOT NULL,
    node          TEXT    NOT NULL,
    claim         INTEGER NOT NULL, -- raised each time that a node takes it
    cancel_asked  BOOLEAN NOT NULL,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL,
    ended_at      INTEGER NOT NULL
);
CREATE UNIQUE INDEX operations_active ON operations (active);
CREATE INDEX operations_group ON operations (group_id, id);
CREATE INDEX operations_ended ON operations (ended_at);

-- Files that are sent to operations and made by them.
CREATE TABLE operation_chunks (
    operation_id INTEGER NOT NULL,
    stream       TEXT    NOT NULL, -- input, result
    seq          INTEGER NOT NULL, -- from 0
    content      TEXT    NOT NULL, -- sealed
    PRIMARY KEY (operation_id, stream, seq)
) WITHOUT ROWID;
