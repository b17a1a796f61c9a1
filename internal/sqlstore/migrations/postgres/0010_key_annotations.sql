-- What people say of keys.
ALTER TABLE provider_keys ADD COLUMN weight BIGINT NOT NULL DEFAULT 1;
ALTER TABLE provider_keys ADD COLUMN notes TEXT NOT NULL DEFAULT '';
ALTER TABLE provider_keys ADD COLUMN tags TEXT NOT NULL DEFAULT '';
