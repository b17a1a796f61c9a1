-- Everything up to version 2: versions mean the same on every database.
-- Each statement ends with a semicolon at the end of its line and may run again: MySQL commits every CREATE at once, so a
-- migration that is killed half way begins anew.
-- Times are microseconds since 1970 in UTC. The collation compares code points, so case tells names apart.

CREATE TABLE IF NOT EXISTS installation (
    id         BIGINT        NOT NULL PRIMARY KEY,
    install_id VARCHAR(64)   NOT NULL,
    salt       VARBINARY(64) NOT NULL,
    key_id     VARCHAR(64)   NOT NULL COMMENT 'of the passphrase that secrets are sealed with; empty for none',
    proof      TEXT          NOT NULL COMMENT 'install_id, sealed; empty before the first unlock',
    created_at BIGINT        NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- configuration: of settings, groups and members. keys: of provider keys. keys_forgotten: the newest revision of a deletion
-- that deleted_keys does not list any more.
CREATE TABLE IF NOT EXISTS revisions (
    name  VARCHAR(64) NOT NULL PRIMARY KEY,
    value BIGINT      NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO revisions (name, value) VALUES ('configuration', 0), ('keys', 0), ('keys_forgotten', 0);

CREATE TABLE IF NOT EXISTS settings (
    name       VARCHAR(128) NOT NULL PRIMARY KEY,
    value      MEDIUMTEXT   NOT NULL COMMENT 'canonical text, sealed when sealed is true',
    sealed     BOOLEAN      NOT NULL,
    updated_at BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS proxy_groups (
    id           BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name         VARCHAR(255) NOT NULL,
    folded_name  VARCHAR(255) NOT NULL COMMENT 'lower case, what makes names unique',
    display_name VARCHAR(512) NOT NULL,
    description  MEDIUMTEXT   NOT NULL,
    kind         VARCHAR(32)  NOT NULL,
    channel      VARCHAR(32)  NOT NULL,
    sort         BIGINT       NOT NULL,
    config       MEDIUMTEXT   NOT NULL COMMENT 'JSON of what is no secret',
    secrets      MEDIUMTEXT   NOT NULL COMMENT 'sealed JSON of what may be; empty for nothing',
    revision     BIGINT       NOT NULL,
    created_at   BIGINT       NOT NULL,
    updated_at   BIGINT       NOT NULL,
    UNIQUE KEY proxy_groups_folded_name (folded_name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS group_members (
    group_id  BIGINT NOT NULL COMMENT 'the aggregate',
    member_id BIGINT NOT NULL,
    place     BIGINT NOT NULL COMMENT 'order as the operator gave it',
    weight    BIGINT NOT NULL,
    tier      BIGINT NOT NULL,
    PRIMARY KEY (group_id, member_id),
    KEY group_members_member_id (member_id),
    CONSTRAINT group_members_of_group FOREIGN KEY (group_id) REFERENCES proxy_groups (id) ON DELETE CASCADE,
    CONSTRAINT group_members_member FOREIGN KEY (member_id) REFERENCES proxy_groups (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Groups whose keys are still to be deleted, in chunks, after the group itself.
CREATE TABLE IF NOT EXISTS deleted_groups (
    id         BIGINT NOT NULL PRIMARY KEY,
    deleted_at BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS provider_keys (
    id          BIGINT        NOT NULL AUTO_INCREMENT PRIMARY KEY,
    group_id    BIGINT        NOT NULL COMMENT 'no foreign key: a group is deleted at once, its keys in chunks',
    hash        VARBINARY(32) NOT NULL COMMENT 'keyed digest of the value',
    value       TEXT          NOT NULL COMMENT 'sealed',
    state       VARCHAR(16)   NOT NULL COMMENT 'active, invalid, disabled',
    reason      VARCHAR(64)   NOT NULL,
    evidence    VARCHAR(300)  NOT NULL,
    failures    BIGINT        NOT NULL,
    cooldowns   MEDIUMTEXT    NOT NULL COMMENT 'JSON list; empty for none',
    operator_at BIGINT        NOT NULL COMMENT 'last act of an operator: older verdicts do not undo it',
    created_at  BIGINT        NOT NULL,
    updated_at  BIGINT        NOT NULL,
    revision    BIGINT        NOT NULL COMMENT 'of the last write',
    UNIQUE KEY provider_keys_hash (hash, group_id),
    KEY provider_keys_group (group_id, id),
    KEY provider_keys_state (group_id, state, id),
    KEY provider_keys_revision (revision, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Keys that were deleted one by one, for a while: what nodes that read what is newer must hear of.
CREATE TABLE IF NOT EXISTS deleted_keys (
    key_id     BIGINT NOT NULL PRIMARY KEY,
    group_id   BIGINT NOT NULL,
    revision   BIGINT NOT NULL,
    deleted_at BIGINT NOT NULL,
    KEY deleted_keys_revision (revision, key_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What request records say of each key. A row comes with the first record that names the key.
CREATE TABLE IF NOT EXISTS key_usage (
    key_id       BIGINT NOT NULL PRIMARY KEY,
    requests     BIGINT NOT NULL COMMENT 'attempts',
    failures     BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- MySQL has no indexes over some of the rows: those by parent and by class are over all of them.
CREATE TABLE IF NOT EXISTS request_records (
    id            BINARY(16)    NOT NULL PRIMARY KEY COMMENT 'UUID version 7',
    started_at    BIGINT        NOT NULL,
    group_id      BIGINT        NOT NULL,
    parent_id     BIGINT        NOT NULL,
    proxy_key     VARCHAR(64)   NOT NULL COMMENT 'fingerprint',
    client_ip     VARCHAR(64)   NOT NULL,
    path          VARCHAR(1024) NOT NULL,
    model_asked   VARCHAR(512)  NOT NULL,
    model_sent    VARCHAR(512)  NOT NULL,
    stream        BOOLEAN       NOT NULL,
    status        INT           NOT NULL,
    class         VARCHAR(32)   NOT NULL,
    error         VARCHAR(500)  NOT NULL,
    attempt_count INT           NOT NULL,
    details       MEDIUMTEXT    NOT NULL COMMENT 'JSON of what is shown and not searched, and of the attempts',
    KEY request_records_group (group_id, id),
    KEY request_records_parent (parent_id, id),
    KEY request_records_fault (class, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS record_bodies (
    record_id          BINARY(16) NOT NULL PRIMARY KEY,
    request            MEDIUMBLOB NOT NULL,
    response           MEDIUMBLOB NOT NULL,
    request_truncated  BOOLEAN    NOT NULL,
    response_truncated BOOLEAN    NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How far each spool has been written.
CREATE TABLE IF NOT EXISTS record_sources (
    source     VARCHAR(128) NOT NULL PRIMARY KEY,
    position   BIGINT       NOT NULL,
    updated_at BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Sums by hour; they outlive the records.
CREATE TABLE IF NOT EXISTS hourly_stats (
    hour             BIGINT       NOT NULL COMMENT 'start of the hour',
    group_id         BIGINT       NOT NULL,
    parent_id        BIGINT       NOT NULL,
    model            VARCHAR(128) NOT NULL COMMENT 'as sent',
    proxy_key        VARCHAR(64)  NOT NULL COMMENT 'fingerprint',
    requests         BIGINT       NOT NULL,
    succeeded        BIGINT       NOT NULL,
    client_faults    BIGINT       NOT NULL,
    canceled         BIGINT       NOT NULL,
    key_faults       BIGINT       NOT NULL,
    limited          BIGINT       NOT NULL,
    upstream_faults  BIGINT       NOT NULL,
    gateway_refusals BIGINT       NOT NULL,
    streams          BIGINT       NOT NULL,
    retries          BIGINT       NOT NULL,
    request_bytes    BIGINT       NOT NULL,
    response_bytes   BIGINT       NOT NULL,
    duration         BIGINT       NOT NULL COMMENT 'microseconds, sum over requests',
    first_bytes      BIGINT       NOT NULL COMMENT 'requests that sent a first byte',
    first_byte       BIGINT       NOT NULL COMMENT 'microseconds, sum over first_bytes',
    PRIMARY KEY (hour, group_id, model, parent_id, proxy_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
