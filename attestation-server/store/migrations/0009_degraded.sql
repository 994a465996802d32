-- A device whose update fell back to a slot that does not prove itself either says so.
CREATE TABLE rollout_devices_2 (
  rollout TEXT NOT NULL REFERENCES rollouts (name),
  device_id TEXT NOT NULL REFERENCES devices (id),
  wave TEXT NOT NULL CHECK (wave IN ('canary', 'rest')),
  assigned BIGINT NOT NULL CHECK (assigned IN (0, 1)),
  state TEXT NOT NULL CHECK (state IN ('IDLE', 'PLANNED', 'WRITING', 'WRITTEN', 'VERIFIED', 'ARMED', 'TRIAL',
                                       'COMMITTED', 'FAILED', 'ROLLED_BACK', 'DEGRADED')),
  slot TEXT NOT NULL,
  gate TEXT NOT NULL,
  detail TEXT NOT NULL,
  percent BIGINT NOT NULL,
  reported_at BIGINT NOT NULL,
  log_tail TEXT NOT NULL DEFAULT '',
  origins TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (rollout, device_id)
);
INSERT INTO rollout_devices_2 (rollout, device_id, wave, assigned, state, slot, gate, detail, percent, reported_at, log_tail,
                               origins)
  SELECT rollout, device_id, wave, assigned, state, slot, gate, detail, percent, reported_at, log_tail, origins
  FROM rollout_devices;
DROP TABLE rollout_devices;
ALTER TABLE rollout_devices_2 RENAME TO rollout_devices;
CREATE INDEX rollout_devices_device ON rollout_devices (device_id);
