-- The end of the log of the boot that failed, as the device reported it.
ALTER TABLE rollout_devices ADD COLUMN log_tail TEXT NOT NULL DEFAULT '';
