//! Short names of object identifiers, for people who read a refusal.
//!
//! In: dotted numbers. Out: `keyUsage (2.5.29.15)`, or the numbers alone where we know no name. Nothing is decided
//! by a name.

/// As the standards call them: X.520, RFC 5280, RFC 2985, RFC 4519, RFC 8017, RFC 5758; Microsoft's as its own
/// documents do.
const NAMES: &[(&str, &str)] = &[
    // Attributes of names.
    ("2.5.4.3", "commonName"),
    ("2.5.4.4", "surname"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "countryName"),
    ("2.5.4.7", "localityName"),
    ("2.5.4.8", "stateOrProvinceName"),
    ("2.5.4.9", "streetAddress"),
    ("2.5.4.10", "organizationName"),
    ("2.5.4.11", "organizationalUnitName"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "givenName"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "userId"),
    ("0.9.2342.19200300.100.1.25", "domainComponent"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    // Attributes of requests.
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("1.2.840.113549.1.9.7", "challengePassword"),
    ("1.2.840.113549.1.9.8", "unstructuredAddress"),
    ("1.2.840.113549.1.9.14", "extensionRequest"),
    ("1.2.840.113549.1.9.15", "smimeCapabilities"),
    ("1.2.840.113549.1.9.20", "friendlyName"),
    ("1.2.840.113549.1.9.21", "localKeyID"),
    ("1.3.6.1.4.1.311.2.1.14", "Microsoft certExtensions"),
    ("1.3.6.1.4.1.311.13.1", "Microsoft renewalCertificate"),
    ("1.3.6.1.4.1.311.13.2.1", "Microsoft enrollmentNameValuePair"),
    ("1.3.6.1.4.1.311.13.2.2", "Microsoft enrollmentCspProvider"),
    ("1.3.6.1.4.1.311.13.2.3", "Microsoft osVersion"),
    ("1.3.6.1.4.1.311.21.20", "Microsoft requestClientInfo"),
    // Extensions.
    ("2.5.29.9", "subjectDirectoryAttributes"),
    ("2.5.29.14", "subjectKeyIdentifier"),
    ("2.5.29.15", "keyUsage"),
    ("2.5.29.16", "privateKeyUsagePeriod"),
    ("2.5.29.17", "subjectAltName"),
    ("2.5.29.18", "issuerAltName"),
    ("2.5.29.19", "basicConstraints"),
    ("2.5.29.30", "nameConstraints"),
    ("2.5.29.31", "cRLDistributionPoints"),
    ("2.5.29.32", "certificatePolicies"),
    ("2.5.29.33", "policyMappings"),
    ("2.5.29.35", "authorityKeyIdentifier"),
    ("2.5.29.36", "policyConstraints"),
    ("2.5.29.37", "extKeyUsage"),
    ("2.5.29.46", "freshestCRL"),
    ("2.5.29.54", "inhibitAnyPolicy"),
    ("1.3.6.1.5.5.7.1.1", "authorityInfoAccess"),
    ("1.3.6.1.5.5.7.1.3", "qcStatements"),
    ("1.3.6.1.5.5.7.1.11", "subjectInfoAccess"),
    ("1.3.6.1.5.5.7.1.24", "tlsFeature"),
    ("1.3.6.1.5.5.7.48.1.5", "ocspNoCheck"),
    ("1.3.6.1.4.1.11129.2.4.2", "signedCertificateTimestampList"),
    ("1.3.6.1.4.1.311.20.2", "Microsoft enrollCertType"),
    ("1.3.6.1.4.1.311.21.7", "Microsoft certificateTemplate"),
    ("1.3.6.1.4.1.311.21.10", "Microsoft applicationCertPolicies"),
    ("1.3.6.1.4.1.311.25.2", "Microsoft ntdsCaSecurityExt"),
    ("2.16.840.1.113730.1.1", "netscapeCertType"),
    ("2.16.840.1.113730.1.13", "netscapeComment"),
    ("2.25.10515796919617305175205030090285750592.1.1", "Touchmark scope"),
    ("1.3.6.1.4.1.62253.1.1", "Touchmark scope of the first release"),
    // Purposes.
    ("2.5.29.37.0", "anyExtendedKeyUsage"),
    ("1.3.6.1.5.5.7.3.1", "serverAuth"),
    ("1.3.6.1.5.5.7.3.2", "clientAuth"),
    ("1.3.6.1.5.5.7.3.3", "codeSigning"),
    ("1.3.6.1.5.5.7.3.4", "emailProtection"),
    ("1.3.6.1.5.5.7.3.8", "timeStamping"),
    ("1.3.6.1.5.5.7.3.9", "OCSPSigning"),
    ("1.3.6.1.5.5.7.3.17", "ipsecIKE"),
    ("1.3.6.1.4.1.311.20.2.2", "Microsoft smartcardLogon"),
    // Other names of a subjectAltName.
    ("1.3.6.1.5.5.7.8.4", "hardwareModuleName"),
    ("1.3.6.1.4.1.311.20.2.3", "Microsoft userPrincipalName"),
    // Keys and signatures.
    ("1.2.840.10045.2.1", "ecPublicKey"),
    ("1.2.840.10045.3.1.1", "P-192"),
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.132.0.33", "P-224"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1"),
    ("1.2.840.10045.4.3.1", "ecdsa-with-SHA224"),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256"),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384"),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512"),
    ("2.16.840.1.101.3.4.3.10", "ecdsa-with-SHA3-256"),
    ("2.16.840.1.101.3.4.3.11", "ecdsa-with-SHA3-384"),
    ("2.16.840.1.101.3.4.3.12", "ecdsa-with-SHA3-512"),
    ("1.2.840.10040.4.1", "dsa"),
    ("1.2.840.10040.4.3", "dsa-with-SHA1"),
    ("2.16.840.1.101.3.4.3.2", "dsa-with-SHA256"),
    ("1.2.840.113549.1.1.1", "rsaEncryption"),
    ("1.2.840.113549.1.1.4", "md5WithRSAEncryption"),
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption"),
    ("1.2.840.113549.1.1.7", "RSAES-OAEP"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
    ("1.2.840.113549.1.1.11", "sha256WithRSAEncryption"),
    ("1.2.840.113549.1.1.12", "sha384WithRSAEncryption"),
    ("1.2.840.113549.1.1.13", "sha512WithRSAEncryption"),
    ("1.2.840.113549.1.1.14", "sha224WithRSAEncryption"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.111", "X448"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.3.14.3.2.26", "SHA-1"),
    ("2.16.840.1.101.3.4.2.1", "SHA-256"),
    ("2.16.840.1.101.3.4.2.2", "SHA-384"),
    ("2.16.840.1.101.3.4.2.3", "SHA-512"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];

/// The short name of an object identifier, if we know one.
pub(crate) fn short_name(dotted: &str) -> Option<&'static str> {
    NAMES.iter().find(|(oid, _)| *oid == dotted).map(|(_, name)| *name)
}

/// An object identifier with its short name before it: `keyUsage (2.5.29.15)`.
pub(crate) fn named(dotted: &str) -> String {
    short_name(dotted).map_or_else(|| dotted.to_owned(), |name| format!("{name} ({dotted})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::oid_content;
    use std::collections::BTreeSet;

    #[test]
    fn every_identifier_stands_once_and_can_be_written() {
        let unique: BTreeSet<_> = NAMES.iter().map(|(oid, _)| oid).collect();
        assert_eq!(unique.len(), NAMES.len());
        assert!(NAMES.iter().all(|(oid, name)| oid_content(oid).is_some() && !name.is_empty()));
        assert_eq!(named("2.5.29.15"), "keyUsage (2.5.29.15)");
        assert_eq!(named("1.2.3.4"), "1.2.3.4");
    }
}
