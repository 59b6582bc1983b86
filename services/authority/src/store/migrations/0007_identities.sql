-- What an environment knows a device, operator or service by: the handle that its certificates carry.
CREATE TABLE identity (
    organisation TEXT NOT NULL,
    environment  TEXT NOT NULL,
    kind         TEXT NOT NULL,
    handle       TEXT NOT NULL,
    device       BLOB,
    generation   INTEGER NOT NULL,
    PRIMARY KEY (environment, kind, handle)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_of_device ON identity (device) WHERE device IS NOT NULL;

-- As the journal tells it: a registration makes the identity that has the device's name, and each intent raises the one in
-- its URI, `spiffe://<trust domain>/d/<handle>`.
INSERT INTO identity
SELECT organisation, environment, 'operational', name, device, 0 FROM device WHERE name IS NOT NULL;
INSERT INTO identity
SELECT organisation, environment, kind,
       coalesce(party, substr(identity, instr(substr(identity, 10), '/d/') + 12)), device, generation
FROM certificate WHERE identity IS NOT NULL
ON CONFLICT (environment, kind, handle) DO UPDATE SET generation = max(generation, excluded.generation);
