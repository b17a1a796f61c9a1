-- Orders of lists of keys. A migration that was killed half way begins again, so an index may be there.
SET @statement = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'provider_keys' AND index_name = 'provider_keys_failures') = 0,
    'CREATE INDEX provider_keys_failures ON provider_keys (group_id, failures, id)', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @statement = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'provider_keys' AND index_name = 'provider_keys_weight') = 0,
    'CREATE INDEX provider_keys_weight ON provider_keys (group_id, weight, id)', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
SET @statement = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'key_usage' AND index_name = 'key_usage_last_used') = 0,
    'CREATE INDEX key_usage_last_used ON key_usage (last_used_at, key_id)', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
