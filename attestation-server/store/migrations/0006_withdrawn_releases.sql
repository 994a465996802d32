-- A release that targets signs no more is assigned to nobody; who runs it is still judged by it.
ALTER TABLE releases ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1));
