-- Statuses of failures, which are few; a range of them is read in the order of time.
CREATE INDEX request_records_failure ON request_records (id, status) WHERE status >= 400;
