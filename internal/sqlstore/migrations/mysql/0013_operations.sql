-- Long bulk work: see package operation.
CREATE TABLE IF NOT EXISTS operations (
    id            BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind          VARCHAR(32)  NOT NULL,
    group_id      BIGINT       NOT NULL,
    group_name    VARCHAR(255) NOT NULL,
    state         VARCHAR(32)  NOT NULL,
    active        VARCHAR(64)  NULL COMMENT 'kind and group until it ended, then NULL: one of a kind and group goes on at a time',
    options       TEXT         NOT NULL COMMENT 'JSON',
    done          BIGINT       NOT NULL,
    total         BIGINT       NOT NULL,
    counts        TEXT         NOT NULL COMMENT 'JSON',
    position      BIGINT       NOT NULL,
    input_bytes   BIGINT       NOT NULL,
    result_chunks BIGINT       NOT NULL,
    result_bytes  BIGINT       NOT NULL,
    error         TEXT         NOT NULL,
    node          VARCHAR(128) NOT NULL,
    claim         BIGINT       NOT NULL COMMENT 'raised each time that a node takes it',
    cancel_asked  BOOLEAN      NOT NULL,
    created_at    BIGINT       NOT NULL,
    started_at    BIGINT       NOT NULL,
    seen_at       BIGINT       NOT NULL,
    ended_at      BIGINT       NOT NULL,
    UNIQUE INDEX operations_active (active),
    INDEX operations_group (group_id, id),
    INDEX operations_ended (ended_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Files that are sent to operations and made by them.
CREATE TABLE IF NOT EXISTS operation_chunks (
    operation_id BIGINT      NOT NULL,
    stream       VARCHAR(16) NOT NULL COMMENT 'input, result',
    seq          BIGINT      NOT NULL COMMENT 'from 0',
    content      LONGTEXT    CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'sealed',
    PRIMARY KEY (operation_id, stream, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
