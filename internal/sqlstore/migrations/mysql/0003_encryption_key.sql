-- A change of ENCRYPTION_KEY that is not finished, in one row: see rekey.go.
CREATE TABLE IF NOT EXISTS rekeying (
    id          BIGINT      NOT NULL PRIMARY KEY,
    from_key_id VARCHAR(64) NOT NULL COMMENT 'empty for secrets in clear',
    from_proof  TEXT        NOT NULL COMMENT 'as installation.proof was before',
    to_key_id   VARCHAR(64) NOT NULL,
    groups_done BIGINT      NOT NULL COMMENT 'the last group that is sealed anew',
    keys_done   BIGINT      NOT NULL COMMENT 'the last key',
    started_at  BIGINT      NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Nodes that use the database, for who wants to know whether they can read another key.
CREATE TABLE IF NOT EXISTS nodes (
    id      VARCHAR(128) NOT NULL PRIMARY KEY,
    address VARCHAR(512) NOT NULL,
    version VARCHAR(128) NOT NULL,
    key_ids VARCHAR(200) NOT NULL COMMENT 'of the keys whose secrets it can read, separated by commas; - for those in clear',
    seen_at BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
