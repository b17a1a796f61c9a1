-- A page of the events of one kind in one group: there may be none among hundreds of thousands of each.
CREATE INDEX audit_events_group_kind ON audit_events (group_id, kind, id) WHERE group_id <> 0;
