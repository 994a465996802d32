-- Where the image in a device's slot came from (ota/install/image_origins.h), as the device reported it.
ALTER TABLE rollout_devices ADD COLUMN origins TEXT NOT NULL DEFAULT '';
