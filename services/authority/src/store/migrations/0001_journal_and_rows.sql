-- The journal is the truth; every other table but log_head, sighting and sighting_position is derived from it.
-- Identifiers and hashes are blobs, words and names text, moments milliseconds since 1970. Unsigned 64-bit numbers
-- are stored with the same bits. environment = '' means the whole organisation. Nothing is deleted but private parts.

CREATE TABLE journal (
    seq    INTEGER PRIMARY KEY,
    leaf   BLOB NOT NULL,
    -- The device that the entry concerns.
    device BLOB
) STRICT;
CREATE INDEX journal_device ON journal (device, seq) WHERE device IS NOT NULL;

-- What the leaf only commits to. A row may be erased; its leaf still verifies.
CREATE TABLE journal_private (
    seq   INTEGER PRIMARY KEY REFERENCES journal (seq),
    salt  BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE log_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;

CREATE TABLE started (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    epoch       INTEGER NOT NULL,
    incarnation INTEGER NOT NULL
) STRICT;

CREATE TABLE authority (
    authority_version BLOB PRIMARY KEY,
    organisation      TEXT NOT NULL,
    environment       TEXT NOT NULL,
    kind              TEXT NOT NULL,
    name              TEXT NOT NULL,
    certificate       BLOB NOT NULL,
    parent            BLOB,
    crl_shards        INTEGER NOT NULL,
    created_at_ms     INTEGER NOT NULL
) STRICT;

CREATE TABLE environment (
    name          TEXT PRIMARY KEY,
    organisation  TEXT NOT NULL,
    environment   TEXT NOT NULL,
    trust_domain  TEXT NOT NULL UNIQUE,
    is_default    INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE profile (
    profile_version BLOB PRIMARY KEY,
    organisation    TEXT NOT NULL,
    environment     TEXT NOT NULL,
    name            TEXT NOT NULL,
    kind            TEXT NOT NULL,
    lifetime_s      INTEGER NOT NULL,
    overlap_s       INTEGER NOT NULL,
    activated_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE party (
    kind             TEXT NOT NULL,
    name             TEXT NOT NULL,
    organisation     TEXT NOT NULL,
    environment      TEXT NOT NULL,
    -- JSON array of text.
    roles            TEXT NOT NULL,
    owner            TEXT,
    registered_at_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT;

CREATE TABLE policy (
    environment     TEXT PRIMARY KEY,
    organisation    TEXT NOT NULL,
    version         BLOB NOT NULL,
    -- JSON array of [name, text].
    files           TEXT NOT NULL,
    topics          TEXT NOT NULL,
    activated_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE token (
    token         BLOB PRIMARY KEY,
    organisation  TEXT NOT NULL,
    environment   TEXT NOT NULL,
    kind          TEXT NOT NULL,
    -- 'named' or 'prefix'; empty once erased, as are subject, secret_sha256 and model.
    subject_kind  TEXT,
    subject       TEXT,
    secret_sha256 BLOB,
    model         TEXT,
    -- JSON array of text.
    hosts         TEXT NOT NULL,
    uses_max      INTEGER NOT NULL,
    uses          INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    created_by    TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    void          INTEGER NOT NULL
) STRICT;
CREATE INDEX token_secret ON token (secret_sha256) WHERE secret_sha256 IS NOT NULL;
CREATE INDEX token_named ON token (environment, subject) WHERE subject_kind = 'named';

CREATE TABLE device (
    device            BLOB PRIMARY KEY,
    organisation      TEXT NOT NULL,
    environment       TEXT NOT NULL,
    name              TEXT,
    model             TEXT,
    owner             TEXT,
    standing          TEXT NOT NULL,
    standing_until_ms INTEGER,
    registered_at_ms  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX device_name ON device (environment, name);
CREATE INDEX device_name_anywhere ON device (name, device);
CREATE INDEX device_exception ON device (environment, standing, name) WHERE standing <> 'active';

CREATE TABLE certificate (
    certificate       BLOB PRIMARY KEY,
    organisation      TEXT NOT NULL,
    environment       TEXT NOT NULL,
    device            BLOB,
    kind              TEXT NOT NULL,
    identity          TEXT,
    authority_version BLOB NOT NULL,
    serial            BLOB NOT NULL,
    spki              BLOB,
    profile_version   BLOB NOT NULL,
    not_before_s      INTEGER NOT NULL,
    not_after_s       INTEGER NOT NULL,
    state             TEXT NOT NULL,
    csr_sha256        BLOB,
    tbs               BLOB,
    der               BLOB,
    fingerprint       BLOB,
    token             BLOB,
    replaces          BLOB,
    generation        INTEGER NOT NULL,
    crl_shard         INTEGER NOT NULL,
    intended_at_ms    INTEGER NOT NULL,
    confirmed_at_ms   INTEGER,
    refused_from_ms   INTEGER,
    revoked_at_ms     INTEGER,
    revocation_reason TEXT,
    -- The identity's name, for operators and services only.
    party             TEXT
) STRICT;
-- Serial first: one index keeps serials unique and finds them.
CREATE UNIQUE INDEX certificate_serial ON certificate (serial, authority_version);
CREATE INDEX certificate_fingerprint ON certificate (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX certificate_spki ON certificate (spki, device) WHERE spki IS NOT NULL;
CREATE INDEX certificate_device ON certificate (device, certificate) WHERE device IS NOT NULL;
CREATE INDEX certificate_party ON certificate (party, kind, certificate) WHERE party IS NOT NULL;
CREATE INDEX certificate_request ON certificate (token, csr_sha256, certificate) WHERE token IS NOT NULL;
CREATE INDEX certificate_intended ON certificate (certificate) WHERE state = 'intended';
CREATE INDEX certificate_revoked ON certificate (authority_version, crl_shard, not_after_s)
    WHERE revoked_at_ms IS NOT NULL;
CREATE INDEX certificate_superseded ON certificate (environment, not_after_s) WHERE state = 'superseded';

CREATE TABLE denied_key (
    spki         BLOB NOT NULL,
    environment  TEXT NOT NULL,
    organisation TEXT NOT NULL,
    denied_at_ms INTEGER NOT NULL,
    PRIMARY KEY (spki, environment)
) STRICT, WITHOUT ROWID;
CREATE INDEX denied_key_environment ON denied_key (environment, spki);

CREATE TABLE crl (
    authority_version BLOB NOT NULL,
    shard             INTEGER NOT NULL,
    organisation      TEXT NOT NULL,
    environment       TEXT NOT NULL,
    number            INTEGER NOT NULL,
    sha256            BLOB NOT NULL,
    published_at_ms   INTEGER NOT NULL,
    PRIMARY KEY (authority_version, shard)
) STRICT, WITHOUT ROWID;

CREATE TABLE enforcement (
    environment     TEXT NOT NULL,
    gateway         TEXT NOT NULL,
    organisation    TEXT NOT NULL,
    epoch           INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    applied_at_ms   INTEGER NOT NULL,
    sessions_closed INTEGER NOT NULL,
    PRIMARY KEY (environment, gateway)
) STRICT, WITHOUT ROWID;

CREATE TABLE refusal (
    environment TEXT NOT NULL,
    code        TEXT NOT NULL,
    count       INTEGER NOT NULL,
    PRIMARY KEY (environment, code)
) STRICT, WITHOUT ROWID;

-- From the decision logs, not from the journal.
CREATE TABLE sighting (
    fingerprint   BLOB NOT NULL,
    relying_party TEXT NOT NULL,
    action        TEXT NOT NULL,
    resource      TEXT NOT NULL,
    organisation  TEXT NOT NULL,
    environment   TEXT NOT NULL,
    first_ms      INTEGER NOT NULL,
    last_ms       INTEGER NOT NULL,
    allowed       INTEGER NOT NULL,
    denied        INTEGER NOT NULL,
    PRIMARY KEY (fingerprint, relying_party, action, resource)
) STRICT, WITHOUT ROWID;

CREATE TABLE sighting_position (
    gateway TEXT PRIMARY KEY,
    epoch   INTEGER NOT NULL,
    seq     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
