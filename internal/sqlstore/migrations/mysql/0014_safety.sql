-- Logins of browsers: the cookie names a row here, and is signed by a key made of AUTH_KEY.
CREATE TABLE IF NOT EXISTS admin_sessions (
    id         VARCHAR(64)  NOT NULL PRIMARY KEY,
    created_at BIGINT       NOT NULL,
    used_at    BIGINT       NOT NULL,
    expires_at BIGINT       NOT NULL,
    client_ip  VARCHAR(64)  NOT NULL,
    user_agent VARCHAR(300) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was changed, by whom or why. MySQL has no indexes over some of the rows: those by noun_id and group are over all of them.
CREATE TABLE IF NOT EXISTS audit_events (
    id        BINARY(16)   NOT NULL PRIMARY KEY COMMENT 'UUID version 7: in the order of time',
    at        BIGINT       NOT NULL,
    kind      VARCHAR(64)  NOT NULL,
    actor     VARCHAR(32)  NOT NULL,
    client_ip VARCHAR(64)  NOT NULL,
    node      VARCHAR(128) NOT NULL,
    noun      VARCHAR(32)  NOT NULL,
    noun_id   VARCHAR(64)  NOT NULL,
    name      VARCHAR(255) NOT NULL,
    group_id  BIGINT       NOT NULL COMMENT '0 for none',
    count     BIGINT       NOT NULL,
    reason    VARCHAR(300) NOT NULL,
    details   MEDIUMTEXT   NOT NULL COMMENT 'JSON of what is shown and not searched, secrets masked',
    undoable  BOOLEAN      NOT NULL,
    undone_by BINARY(16)            COMMENT 'the event that undid it',
    KEY audit_events_kind (kind, id),
    KEY audit_events_actor (actor, id),
    KEY audit_events_noun (noun, id),
    KEY audit_events_noun_id (noun_id, id),
    KEY audit_events_group (group_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What it takes to undo events, in pieces.
CREATE TABLE IF NOT EXISTS audit_undo (
    event_id BINARY(16) NOT NULL,
    part     BIGINT     NOT NULL,
    sealed   BOOLEAN    NOT NULL COMMENT 'content holds secrets and is sealed',
    content  MEDIUMTEXT NOT NULL COMMENT 'JSON',
    PRIMARY KEY (event_id, part)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
