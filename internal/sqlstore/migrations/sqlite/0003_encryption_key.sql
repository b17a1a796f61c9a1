-- A change of ENCRYPTION_KEY that is not finished, in one row: see rekey.go.
CREATE TABLE rekeying (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    from_key_id TEXT    NOT NULL, -- empty for secrets in clear
    from_proof  TEXT    NOT NULL, -- as installation.proof was before
    to_key_id   TEXT    NOT NULL,
    groups_done INTEGER NOT NULL, -- the last group that is sealed anew
    keys_done   INTEGER NOT NULL, -- the last key
    started_at  INTEGER NOT NULL
);

-- Nodes that use the database, for who wants to know whether they can read another key.
CREATE TABLE nodes (
    id      TEXT    NOT NULL PRIMARY KEY,
    address TEXT    NOT NULL,
    version TEXT    NOT NULL,
    key_ids TEXT    NOT NULL, -- of the keys whose secrets it can read, separated by commas; - for those in clear
    seen_at INTEGER NOT NULL
);
