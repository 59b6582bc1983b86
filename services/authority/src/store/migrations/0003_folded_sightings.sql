-- Whether a sighting's resource is what many resources begin with.
ALTER TABLE sighting ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
