-- Orders and filters of lists of keys. Keys in trouble and keys of a weight are few, so the first three indexes are small, and an import pays nothing for them.
-- The last costs a batch of records less than can be measured beside the records themselves.
CREATE INDEX provider_keys_failures ON provider_keys (group_id, failures, id) WHERE failures > 0;
CREATE INDEX provider_keys_cooldowns ON provider_keys (group_id, id) WHERE cooldowns <> '';
CREATE INDEX provider_keys_weight ON provider_keys (group_id, weight, id) WHERE weight > 1;
CREATE INDEX key_usage_last_used ON key_usage (last_used_at, key_id);
