-- The revision of the last change of a setting, so that two who change settings do not overwrite each other.
INSERT IGNORE INTO revisions (name, value) SELECT 'settings', r.value FROM revisions AS r WHERE r.name = 'configuration';
