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

-- The handle of a device was its name until now.
INSERT INTO identity
SELECT device.organisation, device.environment, 'operational', device.name, device.device,
       coalesce((SELECT max(certificate.generation) FROM certificate
                 WHERE certificate.device = device.device AND certificate.identity IS NOT NULL), 0)
FROM device WHERE device.name IS NOT NULL;
INSERT INTO identity
SELECT organisation, environment, kind, party, NULL, max(generation)
FROM certificate WHERE party IS NOT NULL AND identity IS NOT NULL
GROUP BY environment, kind, party;
