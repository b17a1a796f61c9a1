-- Logins of browsers: the cookie names a row here, and is signed by a key made of AUTH_KEY.
CREATE TABLE admin_sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    client_ip  TEXT   NOT NULL,
    user_agent TEXT   NOT NULL
);

-- What was changed, by whom or why.
CREATE TABLE audit_events (
    id        BYTEA   NOT NULL PRIMARY KEY, -- UUID version 7: in the order of time
    at        BIGINT  NOT NULL,
    kind      TEXT    NOT NULL,
    actor     TEXT    NOT NULL,
    client_ip TEXT    NOT NULL,
    node      TEXT    NOT NULL,
    noun      TEXT    NOT NULL,
    noun_id   TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    group_id  BIGINT  NOT NULL, -- 0 for none
    count     BIGINT  NOT NULL,
    reason    TEXT    NOT NULL,
    details   TEXT    NOT NULL, -- JSON of what is shown and not searched, secrets masked
    undoable  BOOLEAN NOT NULL,
    undone_by BYTEA             -- the event that undid it
);
CREATE INDEX audit_events_kind ON audit_events (kind, id);
CREATE INDEX audit_events_actor ON audit_events (actor, id);
CREATE INDEX audit_events_noun ON audit_events (noun, id);
CREATE INDEX audit_events_noun_id ON audit_events (noun_id, id) WHERE noun_id <> '';
CREATE INDEX audit_events_group ON audit_events (group_id, id) WHERE group_id <> 0;

-- What it takes to undo events, in pieces.
CREATE TABLE audit_undo (
    event_id BYTEA   NOT NULL,
    part     BIGINT  NOT NULL,
    sealed   BOOLEAN NOT NULL, -- content holds secrets and is sealed
    content  TEXT    NOT NULL, -- JSON
    PRIMARY KEY (event_id, part)
);
