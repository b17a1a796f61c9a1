-- A page of the events of one kind in one group: there may be none among hundreds of thousands of each. A migration that was killed half way begins again.
SET @statement = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'audit_events' AND index_name = 'audit_events_group_kind') = 0,
    'CREATE INDEX audit_events_group_kind ON audit_events (group_id, kind, id)', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
