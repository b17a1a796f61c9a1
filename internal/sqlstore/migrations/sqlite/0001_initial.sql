-- Times are microseconds since 1970 in UTC. Booleans are 0 or 1.

CREATE TABLE installation (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    install_id TEXT    NOT NULL,
    salt       BLOB    NOT NULL,
    key_id     TEXT    NOT NULL, -- of the passphrase that secrets are sealed with; empty for none
    proof      TEXT    NOT NULL, -- install_id, sealed; empty before the first unlock
    created_at INTEGER NOT NULL
);

CREATE TABLE revisions (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO revisions (name, value) VALUES ('configuration', 0);

CREATE TABLE settings (
    name       TEXT    NOT NULL PRIMARY KEY,
    value      TEXT    NOT NULL, -- canonical text, sealed when sealed = 1
    sealed     INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE TABLE proxy_groups (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT    NOT NULL,
    folded_name  TEXT    NOT NULL, -- lower case, what makes names unique
    display_name TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    channel      TEXT    NOT NULL,
    sort         INTEGER NOT NULL,
    config       TEXT    NOT NULL, -- JSON of what is no secret
    secrets      TEXT    NOT NULL, -- sealed JSON of what may be; empty for nothing
    revision     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
);
CREATE UNIQUE INDEX proxy_groups_folded_name ON proxy_groups (folded_name);

CREATE TABLE group_members (
    group_id  INTEGER NOT NULL REFERENCES proxy_groups (id) ON DELETE CASCADE, -- the aggregate
    member_id INTEGER NOT NULL REFERENCES proxy_groups (id),
    place     INTEGER NOT NULL, -- order as the operator gave it
    weight    INTEGER NOT NULL,
    tier      INTEGER NOT NULL,
    PRIMARY KEY (group_id, member_id)
) WITHOUT ROWID;
CREATE INDEX group_members_member_id ON group_members (member_id);

-- Groups whose keys are still to be deleted, in chunks, after the group itself.
CREATE TABLE deleted_groups (
    id         INTEGER NOT NULL PRIMARY KEY,
    deleted_at INTEGER NOT NULL
);

CREATE TABLE provider_keys (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id    INTEGER NOT NULL, -- no foreign key: a group is deleted at once, its keys in chunks
    hash        BLOB    NOT NULL, -- 32 bytes, keyed digest of the value
    value       TEXT    NOT NULL, -- sealed
    state       TEXT    NOT NULL, -- active, invalid, disabled
    reason      TEXT    NOT NULL,
    evidence    TEXT    NOT NULL,
    failures    INTEGER NOT NULL,
    cooldowns   TEXT    NOT NULL, -- JSON list; empty for none
    operator_at INTEGER NOT NULL, -- last act of an operator: older verdicts do not undo it
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX provider_keys_hash ON provider_keys (hash, group_id);
CREATE INDEX provider_keys_group ON provider_keys (group_id, id);
CREATE INDEX provider_keys_state ON provider_keys (group_id, state, id);

-- A table with row numbers of its own on purpose: records come in the order that they ended in, their ids are in the order
-- that they began in. So the wide rows are appended, and only narrow index entries find their place among the latest.
CREATE TABLE request_records (
    id            BLOB    NOT NULL PRIMARY KEY, -- UUID version 7
    started_at    INTEGER NOT NULL,
    group_id      INTEGER NOT NULL,
    parent_id     INTEGER NOT NULL,
    proxy_key     TEXT    NOT NULL, -- fingerprint
    client_ip     TEXT    NOT NULL,
    path          TEXT    NOT NULL,
    model_asked   TEXT    NOT NULL,
    model_sent    TEXT    NOT NULL,
    stream        INTEGER NOT NULL,
    status        INTEGER NOT NULL,
    class         TEXT    NOT NULL,
    error         TEXT    NOT NULL,
    attempt_count INTEGER NOT NULL,
    details       TEXT    NOT NULL  -- JSON of what is shown and not searched, and of the attempts
);
-- Pages of one group; the only index beside the primary key that every record pays for.
CREATE INDEX request_records_group ON request_records (group_id, id);
-- Requests by way of an aggregate only.
CREATE INDEX request_records_parent ON request_records (parent_id, id) WHERE parent_id <> 0;
-- Failures are few and are what is looked for.
CREATE INDEX request_records_fault ON request_records (class, id) WHERE class <> 'ok';

CREATE TABLE record_bodies (
    record_id          BLOB    NOT NULL PRIMARY KEY,
    request            BLOB    NOT NULL,
    response           BLOB    NOT NULL,
    request_truncated  INTEGER NOT NULL,
    response_truncated INTEGER NOT NULL
);

-- How far each spool has been written.
CREATE TABLE record_sources (
    source     TEXT    NOT NULL PRIMARY KEY,
    position   INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

-- Sums by hour; they outlive the records.
CREATE TABLE hourly_stats (
    hour             INTEGER NOT NULL, -- start of the hour
    group_id         INTEGER NOT NULL,
    parent_id        INTEGER NOT NULL,
    model            TEXT    NOT NULL, -- as sent
    proxy_key        TEXT    NOT NULL, -- fingerprint
    requests         INTEGER NOT NULL,
    succeeded        INTEGER NOT NULL,
    client_faults    INTEGER NOT NULL,
    canceled         INTEGER NOT NULL,
    key_faults       INTEGER NOT NULL,
    limited          INTEGER NOT NULL,
    upstream_faults  INTEGER NOT NULL,
    gateway_refusals INTEGER NOT NULL,
    streams          INTEGER NOT NULL,
    retries          INTEGER NOT NULL,
    request_bytes    INTEGER NOT NULL,
    response_bytes   INTEGER NOT NULL,
    duration         INTEGER NOT NULL, -- microseconds, sum over requests
    first_bytes      INTEGER NOT NULL, -- requests that sent a first byte
    first_byte       INTEGER NOT NULL, -- microseconds, sum over first_bytes
    PRIMARY KEY (hour, group_id, model, parent_id, proxy_key)
) WITHOUT ROWID;
