-- The revision of the last write that changed a key, for nodes that read only what is newer than what they have.
ALTER TABLE provider_keys ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX provider_keys_revision ON provider_keys (revision, id);

-- keys: of the keys. keys_forgotten: the newest revision of a deletion that deleted_keys does not list any more.
INSERT INTO revisions (name, value) VALUES ('keys', 0), ('keys_forgotten', 0);

-- Keys that were deleted one by one, for a while: what nodes that read what is newer must hear of.
CREATE TABLE deleted_keys (
    key_id     INTEGER PRIMARY KEY,
    group_id   INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    deleted_at INTEGER NOT NULL
);
CREATE INDEX deleted_keys_revision ON deleted_keys (revision, key_id);

-- What request records say of each key. A row comes with the first record that names the key.
CREATE TABLE key_usage (
    key_id       INTEGER PRIMARY KEY,
    requests     INTEGER NOT NULL, -- attempts
    failures     INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
);
