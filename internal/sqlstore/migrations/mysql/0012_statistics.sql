-- How long requests took, in buckets: see histogram.go. An ALTER that was done is not done again.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'hourly_stats' AND column_name = 'duration_histogram') = 0,
    'ALTER TABLE hourly_stats ADD COLUMN duration_histogram VARBINARY(2000) NOT NULL DEFAULT ""', 'DO 0');
PREPARE change_of_table FROM @change;
EXECUTE change_of_table;
DEALLOCATE PREPARE change_of_table;
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'hourly_stats' AND column_name = 'first_byte_histogram') = 0,
    'ALTER TABLE hourly_stats ADD COLUMN first_byte_histogram VARBINARY(2000) NOT NULL DEFAULT ""', 'DO 0');
PREPARE change_of_table FROM @change;
EXECUTE change_of_table;
DEALLOCATE PREPARE change_of_table;

-- As hourly_stats, of the last hours only.
CREATE TABLE IF NOT EXISTS minute_stats (
    minute               BIGINT          NOT NULL COMMENT 'start of the minute',
    group_id             BIGINT          NOT NULL,
    parent_id            BIGINT          NOT NULL,
    model                VARCHAR(128)    NOT NULL COMMENT 'as sent',
    proxy_key            VARCHAR(64)     NOT NULL COMMENT 'fingerprint',
    requests             BIGINT          NOT NULL,
    succeeded            BIGINT          NOT NULL,
    client_faults        BIGINT          NOT NULL,
    canceled             BIGINT          NOT NULL,
    key_faults           BIGINT          NOT NULL,
    limited              BIGINT          NOT NULL,
    upstream_faults      BIGINT          NOT NULL,
    gateway_refusals     BIGINT          NOT NULL,
    streams              BIGINT          NOT NULL,
    retries              BIGINT          NOT NULL,
    request_bytes        BIGINT          NOT NULL,
    response_bytes       BIGINT          NOT NULL,
    duration             BIGINT          NOT NULL COMMENT 'microseconds, sum over requests',
    first_bytes          BIGINT          NOT NULL COMMENT 'requests that sent a first byte',
    first_byte           BIGINT          NOT NULL COMMENT 'microseconds, sum over first_bytes',
    duration_histogram   VARBINARY(2000) NOT NULL,
    first_byte_histogram VARBINARY(2000) NOT NULL,
    PRIMARY KEY (minute, group_id, model, parent_id, proxy_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- As hourly_stats, of attempts by the key that they used.
CREATE TABLE IF NOT EXISTS hourly_key_stats (
    hour                 BIGINT          NOT NULL,
    group_id             BIGINT          NOT NULL COMMENT 'of the key',
    key_id               BIGINT          NOT NULL COMMENT '0 for the keys past the bound of an hour',
    requests             BIGINT          NOT NULL COMMENT 'attempts',
    succeeded            BIGINT          NOT NULL,
    client_faults        BIGINT          NOT NULL,
    canceled             BIGINT          NOT NULL,
    key_faults           BIGINT          NOT NULL,
    limited              BIGINT          NOT NULL,
    upstream_faults      BIGINT          NOT NULL,
    gateway_refusals     BIGINT          NOT NULL,
    streams              BIGINT          NOT NULL,
    retries              BIGINT          NOT NULL COMMENT 'attempts after the first of their request',
    request_bytes        BIGINT          NOT NULL COMMENT 'of requests that this was the last attempt of',
    response_bytes       BIGINT          NOT NULL,
    duration             BIGINT          NOT NULL,
    first_bytes          BIGINT          NOT NULL,
    first_byte           BIGINT          NOT NULL,
    duration_histogram   VARBINARY(2000) NOT NULL,
    first_byte_histogram VARBINARY(2000) NOT NULL,
    PRIMARY KEY (hour, group_id, key_id),
    KEY hourly_key_stats_group (group_id, hour),
    KEY hourly_key_stats_key (key_id, hour)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A row is written again and again but gets its place in these only once.
SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'hourly_stats' AND index_name = 'hourly_stats_group') = 0,
    'CREATE INDEX hourly_stats_group ON hourly_stats (group_id, hour)', 'DO 0');
PREPARE change_of_table FROM @change;
EXECUTE change_of_table;
DEALLOCATE PREPARE change_of_table;
SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'hourly_stats' AND index_name = 'hourly_stats_parent') = 0,
    'CREATE INDEX hourly_stats_parent ON hourly_stats (parent_id, hour)', 'DO 0');
PREPARE change_of_table FROM @change;
EXECUTE change_of_table;
DEALLOCATE PREPARE change_of_table;

-- The last batches of records in the order in which they were committed, for who follows them.
INSERT IGNORE INTO revisions (name, value) VALUES ('records', 0);
CREATE TABLE IF NOT EXISTS record_batches (
    revision BIGINT     NOT NULL PRIMARY KEY,
    ids      MEDIUMBLOB NOT NULL COMMENT 'of its records, 16 bytes each'
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
