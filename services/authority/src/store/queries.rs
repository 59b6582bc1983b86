//! Every question to the database. Values are bound, never written into the text.
//!
//! Each is answered from an index; a test asks SQLite for its plan.

use super::record::columns;

macro_rules! queries {
    ($($name:ident = $sql:expr;)*) => {
        $(pub(super) const $name: &str = $sql;)*
        /// For the test of their plans.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

macro_rules! select {
    ($table:ident, $rest:literal) => {
        concat!("SELECT ", columns!($table), " FROM ", stringify!($table), " ", $rest)
    };
}

queries! {
    JOURNAL_FROM = "SELECT j.seq, j.leaf, p.salt, p.bytes FROM journal AS j \
        LEFT JOIN journal_private AS p ON p.seq = j.seq WHERE j.seq >= ?1 ORDER BY j.seq LIMIT ?2";
    JOURNAL_OF_DEVICE = "SELECT j.seq, j.leaf, p.salt, p.bytes FROM journal AS j \
        LEFT JOIN journal_private AS p ON p.seq = j.seq WHERE j.device = ?1 ORDER BY j.seq DESC LIMIT ?2";
    JOURNAL_LAST = "SELECT seq FROM journal ORDER BY seq DESC LIMIT 1";
    LOG_HEAD = "SELECT size, note FROM log_head WHERE one = 1";
    STARTED = "SELECT epoch, incarnation FROM started WHERE one = 1";

    POLICY = select!(policy, "WHERE environment = ?1");
    TOKEN_BY_SECRET = select!(token, "WHERE secret_sha256 = ?1 ORDER BY token LIMIT 1");
    TOKEN = select!(token, "WHERE token = ?1");
    TOKENS_NEWEST = select!(token, "WHERE environment = ?1 ORDER BY token DESC LIMIT ?2");
    TOKENS_BEFORE = select!(token, "WHERE environment = ?1 AND token < ?3 ORDER BY token DESC LIMIT ?2");

    DEVICE = select!(device, "WHERE device = ?1");
    DEVICE_BY_NAME = select!(device, "WHERE environment = ?1 AND name = ?2");
    DEVICES_NAMED = select!(device, "WHERE name = ?1 ORDER BY device");
    DEVICES_ANYWHERE = select!(device, "WHERE name > ?1 ORDER BY name, device LIMIT ?2");
    DEVICES_ANYWHERE_ACTIVE =
        select!(device, "WHERE name > ?1 AND standing = 'active' ORDER BY name, device LIMIT ?2");
    DEVICES_ANYWHERE_EXCEPTION = select!(device,
        "INDEXED BY device_exception WHERE name > ?1 AND standing <> 'active' AND standing = ?3 \
         ORDER BY name, device LIMIT ?2");
    DEVICES_IN = select!(device, "WHERE environment = ?3 AND name > ?1 ORDER BY name LIMIT ?2");
    DEVICES_IN_ACTIVE = select!(device,
        "WHERE environment = ?3 AND name > ?1 AND standing = 'active' ORDER BY name LIMIT ?2");
    DEVICES_IN_EXCEPTION = select!(device,
        "WHERE environment = ?3 AND standing = ?4 AND standing <> 'active' AND name > ?1 ORDER BY name LIMIT ?2");
    IDENTITY = select!(identity, "WHERE environment = ?1 AND kind = ?2 AND handle = ?3");
    IDENTITIES_OF_DEVICE = select!(identity, "WHERE device = ?1 ORDER BY environment, kind, handle");
    PARTY = select!(party, "WHERE kind = ?1 AND name = ?2");
    STANDING_EXCEPTIONS = select!(device, "WHERE environment = ?1 AND standing <> 'active' ORDER BY device");

    CERTIFICATE = select!(certificate, "WHERE certificate = ?1");
    CERTIFICATE_BY_FINGERPRINT = select!(certificate, "WHERE fingerprint = ?1 ORDER BY certificate LIMIT 1");
    CERTIFICATES_BY_SERIAL = select!(certificate, "WHERE serial = ?1 ORDER BY certificate DESC");
    CERTIFICATES_BY_KEY = select!(certificate, "WHERE spki = ?1 ORDER BY certificate DESC");
    KEY_PROVEN_BY_DEVICE = "SELECT EXISTS (SELECT 1 FROM certificate \
        WHERE spki = ?1 AND device = ?2 AND confirmed_at_ms IS NOT NULL)";
    KEY_PROVEN_BY_PARTY = "SELECT EXISTS (SELECT 1 FROM certificate \
        WHERE spki = ?1 AND device IS NULL AND kind = ?2 AND party = ?3 AND confirmed_at_ms IS NOT NULL)";
    CERTIFICATES_OF_DEVICE =
        select!(certificate, "WHERE device = ?1 ORDER BY generation DESC, certificate DESC");
    CERTIFICATES_OF_PARTY =
        select!(certificate, "WHERE party = ?2 AND kind = ?1 ORDER BY generation DESC, certificate DESC");
    CURRENT_OF_DEVICE = select!(certificate, "INDEXED BY certificate_current_device \
        WHERE device = ?1 AND device IS NOT NULL AND state IN ('intended', 'issued', 'confirmed') \
        ORDER BY certificate DESC");
    CURRENT_OF_PARTY = select!(certificate, "INDEXED BY certificate_current_party \
        WHERE party = ?2 AND party IS NOT NULL AND kind = ?1 AND state IN ('intended', 'issued', 'confirmed') \
        ORDER BY certificate DESC");
    GENERATION_OF_DEVICE = "SELECT generation FROM certificate INDEXED BY certificate_device \
        WHERE device = ?1 ORDER BY generation DESC LIMIT 1";
    GENERATION_OF_PARTY = "SELECT generation FROM certificate INDEXED BY certificate_party \
        WHERE party = ?2 AND kind = ?1 ORDER BY generation DESC LIMIT 1";
    ISSUES_OF_DEVICE = "SELECT generation, intended_at_ms, token FROM certificate INDEXED BY certificate_device \
        WHERE device = ?1 ORDER BY generation DESC, certificate DESC LIMIT ?2";
    ISSUES_OF_PARTY = "SELECT generation, intended_at_ms, token FROM certificate INDEXED BY certificate_party \
        WHERE party = ?2 AND kind = ?1 ORDER BY generation DESC, certificate DESC LIMIT ?3";
    SUCCESSORS_OF = select!(certificate, "INDEXED BY certificate_successor \
        WHERE replaces = ?1 AND replaces IS NOT NULL AND token IS NULL ORDER BY certificate DESC");
    MORE_THAN_BURNED = "SELECT EXISTS (SELECT 1 FROM certificate \
        WHERE device = ?1 AND (state <> 'burned' OR token IS NOT ?2))";
    DYING_OF_DEVICE = "SELECT certificate, spki FROM certificate INDEXED BY certificate_device \
        WHERE device = ?1 AND spki IS NOT NULL AND (state IN ('intended', 'issued', 'confirmed') \
            OR state = 'superseded' AND not_after_s >= ?2) ORDER BY certificate";
    DYING_OF_PARTY = "SELECT certificate, spki FROM certificate INDEXED BY certificate_party \
        WHERE party = ?2 AND kind = ?1 AND spki IS NOT NULL AND (state IN ('intended', 'issued', 'confirmed') \
            OR state = 'superseded' AND not_after_s >= ?3) ORDER BY certificate";
    DYING_IN_LINE = "SELECT certificate, spki FROM (\
            SELECT certificate, spki, state, not_after_s FROM certificate WHERE certificate = ?1 \
            UNION ALL SELECT certificate, spki, state, not_after_s FROM certificate INDEXED BY certificate_successor \
            WHERE replaces = ?1 AND replaces IS NOT NULL AND token IS NULL AND confirmed_at_ms IS NULL) \
        WHERE spki IS NOT NULL AND (state IN ('intended', 'issued', 'confirmed') \
            OR state = 'superseded' AND not_after_s >= ?2)";
    OPEN_INTENTS = select!(certificate, "WHERE state = 'intended' ORDER BY certificate DESC");
    REVOKED = select!(certificate,
        "WHERE authority_version = ?1 AND crl_shard = ?2 AND revoked_at_ms IS NOT NULL AND not_after_s >= ?3 \
         ORDER BY certificate DESC");
    SUPERSEDED = select!(certificate,
        "WHERE environment = ?1 AND state = 'superseded' AND not_after_s >= ?2 ORDER BY certificate DESC");
    SUPERSEDED_DUE = select!(certificate, "INDEXED BY certificate_superseded_due \
        WHERE environment = ?1 AND kind = ?2 AND state = 'superseded' AND refused_from_ms <= ?3 \
            AND not_after_s >= ?4 ORDER BY refused_from_ms, certificate LIMIT ?5");
    DENIED_KEYS = select!(denied_key, "WHERE environment = ?1 ORDER BY spki");

    RENEWALS_OF = select!(renewal, "WHERE device = ?1");
    MAKERS = select!(maker, "WHERE environment = ?1 ORDER BY name, maker");
    HARDWARE = select!(hardware, "WHERE environment = ?1 AND maker = ?2 AND hardware_id = ?3");
    HARDWARE_OF_DEVICE = select!(hardware, "WHERE device = ?1 ORDER BY maker, hardware_id");

    SIGHTINGS_POSITION = "SELECT epoch, seq FROM sighting_position WHERE gateway = ?1";
    SIGHTINGS_OF =
        select!(sighting, "WHERE fingerprint = ?1 ORDER BY relying_party, action, resource");
    SIGHTINGS_AT = select!(sighting,
        "WHERE fingerprint = ?1 AND relying_party = ?2 ORDER BY action, resource");
    SIGHTING = select!(sighting,
        "WHERE fingerprint = ?1 AND relying_party = ?2 AND action = ?3 AND resource = ?4");

    TOKEN_USABLE = "SELECT EXISTS (SELECT 1 FROM token \
        WHERE token = ?1 AND void = 0 AND uses < uses_max AND expires_at_ms >= ?2)";
    DEVICE_NAME_FREE = "SELECT NOT EXISTS (SELECT 1 FROM device WHERE environment = ?1 AND name = ?2)";
    DEVICE_STANDING = "SELECT EXISTS (SELECT 1 FROM device WHERE device = ?1 AND standing = ?2)";
    DEVICE_NOT_BANNED = "SELECT EXISTS (SELECT 1 FROM device WHERE device = ?1 AND standing <> 'banned')";
    QUARANTINED_UNTIL = "SELECT EXISTS (SELECT 1 FROM device \
        WHERE device = ?1 AND standing = 'quarantined' AND standing_until_ms IS ?2)";
    DEVICE_REVOKED_AT = "SELECT EXISTS (SELECT 1 FROM device WHERE device = ?1 AND revoked_at_ms IS ?2)";
    CERTIFICATE_ALIVE =
        "SELECT EXISTS (SELECT 1 FROM certificate WHERE certificate = ?1 AND state NOT IN ('revoked', 'burned'))";
    PARTY_HOME = "SELECT NOT EXISTS (SELECT 1 FROM party WHERE kind = ?1 AND name = ?2 AND environment IS NOT ?3)";
    SERIAL_FREE = "SELECT NOT EXISTS (SELECT 1 FROM certificate WHERE serial = ?2 AND authority_version = ?1)";
    KEY_USABLE_BY_DEVICE = "SELECT NOT EXISTS (SELECT 1 FROM denied_key WHERE spki = ?1) \
        AND NOT EXISTS (SELECT 1 FROM certificate WHERE spki = ?1 AND state <> 'burned' AND device IS NOT ?2)";
    KEY_USABLE_BY_PARTY = "SELECT NOT EXISTS (SELECT 1 FROM denied_key WHERE spki = ?1) \
        AND NOT EXISTS (SELECT 1 FROM certificate WHERE spki = ?1 AND state <> 'burned' \
            AND (kind <> ?2 OR party IS NOT ?3))";
    CERTIFICATE_IN_STATE = "SELECT EXISTS (SELECT 1 FROM certificate WHERE certificate = ?1 AND state = ?2)";
    HARDWARE_FREE = "SELECT NOT EXISTS (SELECT 1 FROM hardware \
        WHERE environment = ?1 AND maker = ?2 AND hardware_id = ?3 AND device IS NOT ?4)";
    HARDWARE_USABLE = "SELECT EXISTS (SELECT 1 FROM hardware \
        WHERE environment = ?1 AND maker = ?2 AND hardware_id = ?3 AND device = ?4 AND void = 0) \
        AND EXISTS (SELECT 1 FROM maker WHERE maker = ?2 AND withdrawn_at_ms IS NULL)";
    MAKER_FREE = "SELECT NOT EXISTS (SELECT 1 FROM maker \
        WHERE environment = ?1 AND name = ?2 AND withdrawn_at_ms IS NULL)";
    ENVIRONMENT_FREE = "SELECT NOT EXISTS (SELECT 1 FROM environment WHERE name = ?1)";
    CRL_NUMBER = "SELECT number FROM crl WHERE authority_version = ?1 AND shard = ?2";
    DEVICE_OF_CERTIFICATE = "SELECT device FROM certificate WHERE certificate = ?1";
    REFUSAL_COUNT = "SELECT count FROM refusal WHERE environment = ?1 AND code = ?2";
}

/// Tables that are read whole: few rows by nature, or everything for a dump.
pub(super) mod whole {
    use super::columns;
    pub(in crate::store) const AUTHORITIES: &str = select!(authority, "ORDER BY authority_version");
    pub(in crate::store) const ENVIRONMENTS: &str = select!(environment, "ORDER BY name");
    pub(in crate::store) const PROFILES: &str = select!(profile, "ORDER BY profile_version");
    pub(in crate::store) const PARTIES: &str = select!(party, "ORDER BY kind, name");
    pub(in crate::store) const CRLS: &str = select!(crl, "ORDER BY authority_version, shard");
    pub(in crate::store) const ENFORCEMENTS: &str = select!(enforcement, "ORDER BY environment, gateway");
    pub(in crate::store) const GATEWAY_ABSENCES: &str =
        select!(gateway_absence, "ORDER BY environment, gateway");
    pub(in crate::store) const POLICIES: &str = select!(policy, "");
    pub(in crate::store) const TOKENS: &str = select!(token, "");
    pub(in crate::store) const DEVICES: &str = select!(device, "");
    pub(in crate::store) const IDENTITIES: &str = select!(identity, "");
    pub(in crate::store) const CERTIFICATES: &str = select!(certificate, "");
    pub(in crate::store) const DENIED_KEYS: &str = select!(denied_key, "");
    pub(in crate::store) const RENEWALS: &str = select!(renewal, "");
    pub(in crate::store) const MAKERS: &str = select!(maker, "");
    pub(in crate::store) const HARDWARE: &str = select!(hardware, "");
    pub(in crate::store) const REFUSALS: &str = "SELECT environment, code, count FROM refusal";
}
