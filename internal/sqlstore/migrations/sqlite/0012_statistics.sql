-- Statuses of failures, which are few; a range of them is read in the order of time.
CREATE INDEX request_records_failure ON request_records (id, status) WHERE status >= 400;

-- How long requests took, in buckets: see histogram.go.
ALTER TABLE hourly_stats ADD COLUMN duration_histogram BLOB NOT NULL DEFAULT x'';
ALTER TABLE hourly_stats ADD COLUMN first_byte_histogram BLOB NOT NULL DEFAULT x'';

-- As hourly_stats, of the last hours only.
CREATE TABLE minute_stats (
    minute               INTEGER NOT NULL, -- start of the minute
    group_id             INTEGER NOT NULL,
    parent_id            INTEGER NOT NULL,
    model                TEXT    NOT NULL, -- as sent
    proxy_key            TEXT    NOT NULL, -- fingerprint
    requests             INTEGER NOT NULL,
    succeeded            INTEGER NOT NULL,
    client_faults        INTEGER NOT NULL,
    canceled             INTEGER NOT NULL,
    key_faults           INTEGER NOT NULL,
    limited              INTEGER NOT NULL,
    upstream_faults      INTEGER NOT NULL,
    gateway_refusals     INTEGER NOT NULL,
    streams              INTEGER NOT NULL,
    retries              INTEGER NOT NULL,
    request_bytes        INTEGER NOT NULL,
    response_bytes       INTEGER NOT NULL,
    duration             INTEGER NOT NULL, -- microseconds, sum over requests
    first_bytes          INTEGER NOT NULL, -- requests that sent a first byte
    first_byte           INTEGER NOT NULL, -- microseconds, sum over first_bytes
    duration_histogram   BLOB    NOT NULL,
    first_byte_histogram BLOB    NOT NULL,
    PRIMARY KEY (minute, group_id, model, parent_id, proxy_key)
) WITHOUT ROWID;

-- As hourly_stats, of attempts by the key that they used.
CREATE TABLE hourly_key_stats (
    hour                 INTEGER NOT NULL,
    group_id             INTEGER NOT NULL, -- of the key
    key_id               INTEGER NOT NULL, -- 0 for the keys past the bound of an hour
    requests             INTEGER NOT NULL, -- attempts
    succeeded            INTEGER NOT NULL,
    client_faults        INTEGER NOT NULL,
    canceled             INTEGER NOT NULL,
    key_faults           INTEGER NOT NULL,
    limited              INTEGER NOT NULL,
    upstream_faults      INTEGER NOT NULL,
    gateway_refusals     INTEGER NOT NULL,
    streams              INTEGER NOT NULL,
    retries              INTEGER NOT NULL, -- attempts after the first of their request
    request_bytes        INTEGER NOT NULL, -- of requests that this was the last attempt of
    response_bytes       INTEGER NOT NULL,
    duration             INTEGER NOT NULL,
    first_bytes          INTEGER NOT NULL,
    first_byte           INTEGER NOT NULL,
    duration_histogram   BLOB    NOT NULL,
    first_byte_histogram BLOB    NOT NULL,
    PRIMARY KEY (hour, group_id, key_id)
) WITHOUT ROWID;

-- A row is written again and again but gets its place in these only once.
CREATE INDEX hourly_stats_group ON hourly_stats (group_id, hour);
CREATE INDEX hourly_stats_parent ON hourly_stats (parent_id, hour);
CREATE INDEX hourly_key_stats_group ON hourly_key_stats (group_id, hour);
CREATE INDEX hourly_key_stats_key ON hourly_key_stats (key_id, hour);

-- The last batches of records in the order in which they were committed, for who follows them.
INSERT INTO revisions (name, value) VALUES ('records', 0);
CREATE TABLE record_batches (
    revision INTEGER PRIMARY KEY,
    ids      BLOB    NOT NULL -- of its records, 16 bytes each
);
