-- What people say of keys. A migration that was killed half way begins again, so the columns may be there.
SET @statement = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'provider_keys' AND column_name = 'weight') = 0,
    'ALTER TABLE provider_keys ADD COLUMN weight BIGINT NOT NULL DEFAULT 1, ADD COLUMN notes VARCHAR(2000) NOT NULL DEFAULT \'\', ADD COLUMN tags VARCHAR(2000) NOT NULL DEFAULT \'\'', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
