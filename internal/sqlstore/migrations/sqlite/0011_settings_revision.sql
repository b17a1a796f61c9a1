-- The revision of the last change of a setting, so that two who change settings do not overwrite each other.
INSERT INTO revisions (name, value) SELECT 'settings', value FROM revisions WHERE name = 'configuration';
