-- 'environment' or 'organisation': where the roles of an operator hold. Those of before hold in the organisation.
ALTER TABLE party ADD COLUMN reach TEXT NOT NULL DEFAULT 'organisation';
ALTER TABLE token ADD COLUMN reach TEXT NOT NULL DEFAULT 'organisation';
