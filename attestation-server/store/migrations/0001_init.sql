-- Schema 1. Ids and hashes are lower-case hex TEXT, times are Unix milliseconds in BIGINT, enums are TEXT
-- with a CHECK. The same text is valid in SQLite and PostgreSQL.
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value BIGINT NOT NULL CHECK (value >= 0)
);
CREATE TABLE reference_sets (
  id TEXT PRIMARY KEY,
  device_class TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('learning', 'candidate', 'active', 'retiring', 'retired')),
  json TEXT NOT NULL,
  release_digest TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX reference_sets_class ON reference_sets (device_class, state);
CREATE TABLE devices (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  trust_domain TEXT NOT NULL,
  site TEXT NOT NULL,
  device_class TEXT NOT NULL,
  tags TEXT NOT NULL,
  ek_spki_sha256 TEXT NOT NULL UNIQUE,
  ek_manufacturer TEXT NOT NULL,
  ek_model TEXT NOT NULL,
  ek_version TEXT NOT NULL,
  vendor_chain BIGINT NOT NULL CHECK (vendor_chain IN (0, 1)),
  ak_public TEXT NOT NULL,
  ak_name TEXT NOT NULL UNIQUE,
  provenance TEXT NOT NULL CHECK (provenance IN ('token', 'ek-list', 'operator')),
  provenance_id TEXT NOT NULL,
  provenance_address TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'enrolled', 'active', 'quarantined', 'retired')),
  quarantine_causes TEXT NOT NULL,
  tier TEXT NOT NULL CHECK (tier IN ('none', 'enrolled', 'attested', 'measured')),
  posture TEXT NOT NULL CHECK (posture IN ('unknown', 'passing', 'failing', 'expired')),
  reason TEXT NOT NULL,
  boot_id TEXT,
  boot_generation BIGINT NOT NULL,
  reset_count BIGINT NOT NULL,
  restart_count BIGINT NOT NULL,
  clock_ms BIGINT NOT NULL,
  clock_safe BIGINT NOT NULL CHECK (clock_safe IN (0, 1)),
  firmware_version TEXT NOT NULL,
  boot_log_sha256 TEXT,
  failed_boot_id TEXT,
  tls_name_current TEXT,
  serial_current TEXT,
  not_after_current BIGINT,
  tls_name_next TEXT,
  serial_next TEXT,
  not_after_next BIGINT,
  key_protection BIGINT NOT NULL CHECK (key_protection IN (0, 1, 2)),
  attested_at BIGINT NOT NULL,
  valid_until BIGINT NOT NULL,
  renew_after BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  incarnation BIGINT NOT NULL,
  manifest_version BIGINT NOT NULL,
  policy_version BIGINT NOT NULL,
  issuer_epoch BIGINT NOT NULL,
  reference_set TEXT,
  evidence_sha256 TEXT,
  running_release TEXT,
  running_slot TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  revision BIGINT NOT NULL
);
CREATE TABLE device_reference_sets (
  device_id TEXT NOT NULL REFERENCES devices (id),
  role TEXT NOT NULL CHECK (role IN ('committed', 'pending', 'recovery')),
  reference_id TEXT NOT NULL REFERENCES reference_sets (id),
  PRIMARY KEY (device_id, role, reference_id)
);
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  secret_sha256 TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  profile TEXT NOT NULL,
  site TEXT NOT NULL,
  device_class TEXT NOT NULL,
  tags TEXT NOT NULL,
  device_name TEXT NOT NULL,
  ek_spki_sha256 TEXT,
  uses_max BIGINT NOT NULL CHECK (uses_max > 0),
  uses BIGINT NOT NULL CHECK (uses >= 0 AND uses <= uses_max),
  expires_at BIGINT NOT NULL,
  auto_approve BIGINT NOT NULL CHECK (auto_approve IN (0, 1)),
  revoked BIGINT NOT NULL CHECK (revoked IN (0, 1)),
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL
);
CREATE TABLE ek_allow (
  ek_spki_sha256 TEXT PRIMARY KEY,
  device_name TEXT NOT NULL,
  profile TEXT NOT NULL,
  site TEXT NOT NULL,
  device_class TEXT NOT NULL,
  tags TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL
);
CREATE TABLE spent_tickets (
  id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL,
  purpose TEXT NOT NULL CHECK (purpose IN ('enrol', 'renew', 'reattest')),
  spent_at BIGINT NOT NULL
);
CREATE TABLE certificates (
  serial TEXT PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES devices (id),
  issuer_key_id TEXT NOT NULL,
  issuer_epoch BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  incarnation BIGINT NOT NULL,
  tls_name TEXT NOT NULL,
  spki_sha256 TEXT NOT NULL,
  not_before BIGINT NOT NULL,
  not_after BIGINT NOT NULL,
  attested_at BIGINT NOT NULL,
  boot_id TEXT NOT NULL
);
CREATE INDEX certificates_device ON certificates (device_id, not_after);
CREATE TABLE verdicts (
  id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL,
  purpose TEXT NOT NULL CHECK (purpose IN ('enrol', 'renew', 'reattest')),
  passed BIGINT NOT NULL CHECK (passed IN (0, 1)),
  rule TEXT NOT NULL,
  checks TEXT NOT NULL,
  diff TEXT NOT NULL,
  evidence_sha256 TEXT,
  log_sha256 TEXT,
  reference_set TEXT,
  reference_epoch BIGINT NOT NULL,
  policy_epoch BIGINT NOT NULL,
  issuer_epoch BIGINT NOT NULL,
  attested_at BIGINT NOT NULL,
  valid_until BIGINT NOT NULL,
  judged_at BIGINT NOT NULL
);
CREATE INDEX verdicts_device ON verdicts (device_id, judged_at);
CREATE INDEX verdicts_failure ON verdicts (rule, judged_at) WHERE passed = 0;
CREATE TABLE issuers (
  key_id TEXT PRIMARY KEY,
  role TEXT NOT NULL CHECK (role IN ('device', 'server')),
  state TEXT NOT NULL CHECK (state IN ('prepared', 'active', 'retiring', 'tainted', 'pruned')),
  certificate_pem TEXT NOT NULL,
  not_after BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TABLE policies (
  version BIGINT PRIMARY KEY,
  name TEXT NOT NULL,
  manifest_sha256 TEXT NOT NULL,
  manifest TEXT NOT NULL,
  source TEXT NOT NULL,
  applied_by TEXT NOT NULL,
  applied_at BIGINT NOT NULL
);
CREATE TABLE releases (
  digest TEXT PRIMARY KEY,
  product TEXT NOT NULL,
  version TEXT NOT NULL,
  path TEXT NOT NULL UNIQUE,
  json TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TABLE rollouts (
  name TEXT PRIMARY KEY,
  release_digest TEXT NOT NULL REFERENCES releases (digest),
  state TEXT NOT NULL CHECK (state IN ('draft', 'signed', 'approved', 'scheduled', 'canary', 'ramp', 'bake',
                                       'complete', 'paused', 'halted', 'reverting', 'aborted')),
  resume_state TEXT NOT NULL CHECK (resume_state IN ('draft', 'signed', 'approved', 'scheduled', 'canary', 'ramp',
                                       'bake', 'complete', 'paused', 'halted', 'reverting', 'aborted')),
  why TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  revision BIGINT NOT NULL
);
CREATE TABLE rollout_devices (
  rollout TEXT NOT NULL REFERENCES rollouts (name),
  device_id TEXT NOT NULL REFERENCES devices (id),
  wave TEXT NOT NULL CHECK (wave IN ('canary', 'rest')),
  assigned BIGINT NOT NULL CHECK (assigned IN (0, 1)),
  state TEXT NOT NULL CHECK (state IN ('IDLE', 'PLANNED', 'WRITING', 'WRITTEN', 'VERIFIED', 'ARMED', 'TRIAL',
                                       'COMMITTED', 'FAILED', 'ROLLED_BACK')),
  slot TEXT NOT NULL,
  gate TEXT NOT NULL,
  detail TEXT NOT NULL,
  percent BIGINT NOT NULL,
  reported_at BIGINT NOT NULL,
  PRIMARY KEY (rollout, device_id)
);
CREATE INDEX rollout_devices_device ON rollout_devices (device_id);
CREATE TABLE approvals (
  action TEXT NOT NULL,
  digest TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  body TEXT NOT NULL,
  signature TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (action, digest, operator_id, expires_at)
);
CREATE TABLE audit (
  seq BIGINT PRIMARY KEY,
  prev_hash TEXT NOT NULL,
  event TEXT NOT NULL,
  commitment TEXT NOT NULL,
  hash TEXT NOT NULL,
  salt TEXT,
  record TEXT
);
