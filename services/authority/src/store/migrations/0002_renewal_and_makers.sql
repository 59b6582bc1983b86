-- What a profile says of successors. Profiles of the first schema had no such words: the defaults are theirs.
ALTER TABLE profile ADD COLUMN grace_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE profile ADD COLUMN on_clone TEXT NOT NULL DEFAULT 'alarm';
ALTER TABLE profile ADD COLUMN revoke_superseded INTEGER NOT NULL DEFAULT 0;
UPDATE profile SET grace_s = lifetime_s / 3;

-- The octets to sign stand in the journal, and in the certificate once there is one.
ALTER TABLE certificate DROP COLUMN tbs;

-- What a holder works with now, and the highest generation, without a look at all that it ever had.
CREATE INDEX certificate_current_device ON certificate (device, certificate)
    WHERE device IS NOT NULL AND state IN ('intended', 'issued', 'confirmed');
CREATE INDEX certificate_current_party ON certificate (party, kind, certificate)
    WHERE party IS NOT NULL AND state IN ('intended', 'issued', 'confirmed');
DROP INDEX certificate_device;
CREATE INDEX certificate_device ON certificate (device, generation, certificate) WHERE device IS NOT NULL;
DROP INDEX certificate_party;
CREATE INDEX certificate_party ON certificate (party, kind, generation, certificate) WHERE party IS NOT NULL;

-- Whose overlap is over, for profiles that want it revoked then.
CREATE INDEX certificate_superseded_due ON certificate (environment, kind, refused_from_ms, certificate)
    WHERE state = 'superseded';

CREATE INDEX certificate_renewal ON certificate (replaces, csr_sha256, certificate)
    WHERE replaces IS NOT NULL AND token IS NULL;

CREATE INDEX token_environment ON token (environment, token);

CREATE TABLE renewal (
    device            BLOB PRIMARY KEY,
    organisation      TEXT NOT NULL,
    environment       TEXT NOT NULL,
    renewals          INTEGER NOT NULL,
    refused           INTEGER NOT NULL,
    refused_since     INTEGER NOT NULL,
    last_at_ms        INTEGER NOT NULL,
    last_refusal      TEXT,
    last_lead_s       INTEGER,
    least_lead_s      INTEGER,
    last_manner       TEXT,
    clone_alarms      INTEGER NOT NULL,
    clone_alarm_at_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE maker (
    maker            BLOB PRIMARY KEY,
    organisation     TEXT NOT NULL,
    environment      TEXT NOT NULL,
    name             TEXT NOT NULL,
    certificate      BLOB NOT NULL,
    registered_at_ms INTEGER NOT NULL,
    withdrawn_at_ms  INTEGER
) STRICT;
CREATE INDEX maker_environment ON maker (environment, name, maker);

CREATE TABLE hardware (
    environment      TEXT NOT NULL,
    maker            BLOB NOT NULL,
    hardware_id      TEXT NOT NULL,
    organisation     TEXT NOT NULL,
    device           BLOB NOT NULL,
    registered_at_ms INTEGER NOT NULL,
    void             INTEGER NOT NULL,
    PRIMARY KEY (environment, maker, hardware_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hardware_device ON hardware (device, maker, hardware_id);
