-- Rollback floors as each device's TPM certified them. Counts are 80 hex digits: five big-endian numbers in the
-- order of the counters. A device that never showed any has no row.
CREATE TABLE device_floors (
  device_id TEXT PRIMARY KEY REFERENCES devices (id),
  floors TEXT NOT NULL,
  highest TEXT NOT NULL,
  counts TEXT NOT NULL,
  generation BIGINT NOT NULL,
  certified_at BIGINT NOT NULL,
  finding TEXT NOT NULL,
  finding_since BIGINT NOT NULL
);
CREATE INDEX device_floors_finding ON device_floors (device_id) WHERE finding <> '';
