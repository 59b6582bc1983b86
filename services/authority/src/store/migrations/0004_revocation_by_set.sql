-- When all that a device had was last revoked. Revocations of the first journals leave no such moment.
ALTER TABLE device ADD COLUMN revoked_at_ms INTEGER;

-- Suspected clones of an operator or service.
ALTER TABLE party ADD COLUMN clone_alarms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE party ADD COLUMN clone_alarm_at_ms INTEGER;

-- JSON array of text: roles that an operator or service gets when it enrols. NULL: it keeps those that it has.
ALTER TABLE token ADD COLUMN roles TEXT;
-- Open tokens of an operator, which die with it.
CREATE INDEX token_maker ON token (created_by) WHERE void = 0;

-- A request that comes again is known by its key; successors are found by the certificate on whose word they were given.
DROP INDEX certificate_request;
DROP INDEX certificate_renewal;
CREATE INDEX certificate_successor ON certificate (replaces, certificate) WHERE replaces IS NOT NULL AND token IS NULL;
