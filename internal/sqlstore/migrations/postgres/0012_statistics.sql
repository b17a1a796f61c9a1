-- Statuses of failures, which are few; a range of them is read in the order of time.
CREATE INDEX request_records_failure ON request_records (id, status) WHERE status >= 400;

-- How long requests took, in buckets: see histogram.go.
ALTER TABLE hourly_stats ADD COLUMN duration_histogram BYTEA NOT NULL DEFAULT '';
ALTER TABLE hourly_stats ADD COLUMN first_byte_histogram BYTEA NOT NULL DEFAULT '';

-- As hourly_stats, of the last hours only.
CREATE TABLE minute_stats (
    minute               BIGINT NOT NULL, -- start of the minute
    group_id             BIGINT NOT NULL,
    parent_id            BIGINT NOT NULL,
    model                TEXT   COLLATE "C" NOT NULL, -- as sent
    proxy_key            TEXT   COLLATE "C" NOT NULL, -- fingerprint
    requests             BIGINT NOT NULL,
    succeeded            BIGINT NOT NULL,
    client_faults        BIGINT NOT NULL,
    canceled             BIGINT NOT NULL,
    key_faults           BIGINT NOT NULL,
    limited              BIGINT NOT NULL,
    upstream_faults      BIGINT NOT NULL,
    gateway_refusals     BIGINT NOT NULL,
    streams              BIGINT NOT NULL,
    retries              BIGINT NOT NULL,
    request_bytes        BIGINT NOT NULL,
    response_bytes       BIGINT NOT NULL,
    duration             BIGINT NOT NULL, -- microseconds, sum over requests
    first_bytes          BIGINT NOT NULL, -- requests that sent a first byte
    first_byte           BIGINT NOT NULL, -- microseconds, sum over first_bytes
    duration_histogram   BYTEA  NOT NULL,
    first_byte_histogram BYTEA  NOT NULL,
    PRIMARY KEY (minute, group_id, model, parent_id, proxy_key)
) WITH (fillfactor = 50);

-- As hourly_stats, of attempts by the key that they used.
CREATE TABLE hourly_key_stats (
    hour                 BIGINT NOT NULL,
    group_id             BIGINT NOT NULL, -- of the key
    key_id               BIGINT NOT NULL, -- 0 for the keys past the bound of an hour
    requests             BIGINT NOT NULL, -- attempts
    succeeded            BIGINT NOT NULL,
    client_faults        BIGINT NOT NULL,
    canceled             BIGINT NOT NULL,
    key_faults           BIGINT NOT NULL,
    limited              BIGINT NOT NULL,
    upstream_faults      BIGINT NOT NULL,
    gateway_refusals     BIGINT NOT NULL,
    streams              BIGINT NOT NULL,
    retries              BIGINT NOT NULL, -- attempts after the first of their request
    request_bytes        BIGINT NOT NULL, -- of requests that this was the last attempt of
    response_bytes       BIGINT NOT NULL,
    duration             BIGINT NOT NULL,
    first_bytes          BIGINT NOT NULL,
    first_byte           BIGINT NOT NULL,
    duration_histogram   BYTEA  NOT NULL,
    first_byte_histogram BYTEA  NOT NULL,
    PRIMARY KEY (hour, group_id, key_id)
) WITH (fillfactor = 50);

-- A row is written again and again but gets its place in these only once.
CREATE INDEX hourly_stats_group ON hourly_stats (group_id, hour);
CREATE INDEX hourly_stats_parent ON hourly_stats (parent_id, hour);
CREATE INDEX hourly_key_stats_group ON hourly_key_stats (group_id, hour);
CREATE INDEX hourly_key_stats_key ON hourly_key_stats (key_id, hour);

-- The last batches of records in the order in which they were committed, for who follows them.
INSERT INTO revisions (name, value) VALUES ('records', 0);
CREATE TABLE record_batches (
    revision BIGINT NOT NULL PRIMARY KEY,
    ids      BYTEA  NOT NULL -- of its records, 16 bytes each
);
