-- Gateways that an operator declared not to run. One that came back keeps its row, with an end.
CREATE TABLE gateway_absence (
    organisation  TEXT NOT NULL,
    environment   TEXT NOT NULL,
    gateway       TEXT NOT NULL,
    since_ms      INTEGER NOT NULL,
    until_ms      INTEGER,
    declared_by   TEXT NOT NULL,
    PRIMARY KEY (environment, gateway)
) STRICT, WITHOUT ROWID;
