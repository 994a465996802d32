-- Schema 2. Sets of reference values for devices of their own, sets that a newer one supersedes, learning windows,
-- and what differed on devices that failed.
CREATE TABLE device_reference_sets_2 (
  device_id TEXT NOT NULL REFERENCES devices (id),
  role TEXT NOT NULL CHECK (role IN ('committed', 'pending', 'recovery', 'own')),
  reference_id TEXT NOT NULL REFERENCES reference_sets (id),
  PRIMARY KEY (device_id, role, reference_id)
);
INSERT INTO device_reference_sets_2 (device_id, role, reference_id)
  SELECT device_id, role, reference_id FROM device_reference_sets;
DROP TABLE device_reference_sets;
ALTER TABLE device_reference_sets_2 RENAME TO device_reference_sets;
ALTER TABLE reference_sets ADD COLUMN scope TEXT NOT NULL DEFAULT 'class' CHECK (scope IN ('class', 'devices'));
ALTER TABLE reference_sets ADD COLUMN retire_at BIGINT;
CREATE TABLE learning_windows (
  device_class TEXT PRIMARY KEY,
  opened_by TEXT NOT NULL,
  opened_at BIGINT NOT NULL,
  closes_at BIGINT NOT NULL
);
CREATE TABLE learned_sets (
  reference_id TEXT NOT NULL REFERENCES reference_sets (id),
  device_id TEXT NOT NULL,
  learned_at BIGINT NOT NULL,
  PRIMARY KEY (reference_id, device_id)
);
CREATE TABLE observed_digests (
  pcr BIGINT NOT NULL,
  digest TEXT NOT NULL,
  device_id TEXT NOT NULL REFERENCES devices (id),
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  PRIMARY KEY (pcr, digest, device_id)
);
CREATE INDEX observed_digests_age ON observed_digests (last_seen);
