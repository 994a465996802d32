-- Keys of sealed releases, each sealed under the key-encryption key and bound to its id.
CREATE TABLE content_keys (
  key_id TEXT PRIMARY KEY,
  box TEXT NOT NULL,
  added_by TEXT NOT NULL,
  added_at BIGINT NOT NULL
);
