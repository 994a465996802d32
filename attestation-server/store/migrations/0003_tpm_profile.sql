-- Which profile a device came in by, what kind of TPM it has, and whether its last boot certified the
-- null name. The profile of a device of before is that of its token or of its entry in the EK list.
ALTER TABLE devices ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN tpm_kind TEXT NOT NULL DEFAULT 'unknown'
  CHECK (tpm_kind IN ('unknown', 'dtpm', 'ftpm', 'vtpm'));
ALTER TABLE devices ADD COLUMN null_name TEXT NOT NULL DEFAULT 'unknown'
  CHECK (null_name IN ('unknown', 'not-offered', 'certified'));
UPDATE devices SET profile = COALESCE(
  (SELECT profile FROM tokens WHERE tokens.id = devices.provenance_id),
  (SELECT profile FROM ek_allow WHERE ek_allow.ek_spki_sha256 = devices.ek_spki_sha256), '');
