//! Requests for what will not be issued: each is told what was found and what is taken.

use super::*;

#[test]
fn what_differs_is_named_with_what_was_found_and_what_is_taken() {
    let key = key();
    let with = |oid: &str, value: &[u8]| asking(&key, &[extension(oid, false, value)]);
    let issuer_and_serial = element(
        0x30,
        &[
            &element(0x80, &[&AUTHORITY_ID]),
            &element(0xa1, &[&element(0x82, &[b"x"])]),
            &element(0x82, &[&[1]]),
        ],
    );
    let two_points = [crl_points(CRLS[0])[2..].to_vec(), crl_points(CRLS[1])[2..].to_vec()].concat();
    let octets = |oid: &str| with(oid, &element(0x04, &[b"x"]));
    let rdn = |attributes: &[&[u8]]| element(0x30, &[&element(0x31, attributes)]);
    let pair =
        |oid_text: &str, tag: u8, value: &[u8]| element(0x30, &[&oid(oid_text), &element(tag, &[value])]);
    let subject = |attributes: &[&[u8]]| with_subject(&key, &rdn(attributes));
    let attributed = |oid: &str, value: &[u8]| with_attributes(&key, &[&request_attribute(oid, value)]);
    let other_name = |oid_text: &str| {
        element(0x30, &[&element(0xa0, &[&oid(oid_text), &element(0xa0, &[&element(0x0c, &[b"x"])])])])
    };
    let wide: Vec<u8> = "pump-02".chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
    let rows: Vec<(&str, Vec<u8>, &str, &[&str])> = vec![
        (
            "key usages",
            with(KEY_USAGE, &key_usage(0xe0)),
            "csr-extension",
            &[
                "keyUsage (2.5.29.15) digitalSignature, nonRepudiation, keyEncipherment;",
                "taken is digitalSignature",
            ],
        ),
        ("no key usage", with(KEY_USAGE, &[3, 2, 7, 0]), "csr-extension", &["without any usage"]),
        (
            "server",
            with(EXTENDED_KEY_USAGE, &usages(&[CLIENT_AUTH, SERVER_AUTH])),
            "csr-extension",
            &["extKeyUsage (2.5.29.37) clientAuth, serverAuth", "taken is clientAuth"],
        ),
        (
            "another key's identifier",
            with(SUBJECT_KEY_ID, &subject_key_id(&[7; 20])),
            "csr-extension",
            &["subjectKeyIdentifier (2.5.29.14) 0707", "another hash"],
        ),
        (
            "another authority",
            with(AUTHORITY_KEY_ID, &authority_key_id(&[8; 20])),
            "csr-extension",
            &["authorityKeyIdentifier (2.5.29.35)", "keyIdentifier 0909"],
        ),
        (
            "authority by name and serial",
            with(AUTHORITY_KEY_ID, &issuer_and_serial),
            "csr-extension",
            &["authorityKeyIdentifier"],
        ),
        (
            "another CRL",
            with(CRL_POINTS, &crl_points("http://127.0.0.1/crl/2.crl")),
            "csr-extension",
            &["cRLDistributionPoints (2.5.29.31)", CRLS[0], CRLS[1]],
        ),
        (
            "two CRLs",
            with(CRL_POINTS, &element(0x30, &[&two_points])),
            "csr-extension",
            &["cRLDistributionPoints"],
        ),
        (
            "another scope",
            with(SCOPE, &scope(&["model:x300"])),
            "csr-extension",
            &["Touchmark scope", "custody:software, model:x200"],
        ),
        (
            "more scope",
            with(SCOPE, &scope(&["custody:software", "model:x200", "group:a"])),
            "csr-extension",
            &["Touchmark scope"],
        ),
        (
            "what is not issued",
            octets("2.5.29.16"),
            "csr-extension",
            &["privateKeyUsagePeriod (2.5.29.16)", "none, since it is not issued"],
        ),
        (
            "OCSP",
            with(
                "1.3.6.1.5.5.7.1.1",
                &element(
                    0x30,
                    &[&element(0x30, &[&oid("1.3.6.1.5.5.7.48.1"), &element(URI, &[b"http://x"])])],
                ),
            ),
            "csr-extension",
            &["authorityInfoAccess (1.3.6.1.5.5.7.1.1)"],
        ),
        (
            "policies",
            with("2.5.29.32", &element(0x30, &[&element(0x30, &[&oid("2.5.29.32.0")])])),
            "csr-extension",
            &["certificatePolicies (2.5.29.32)"],
        ),
        (
            "Netscape type",
            with("2.16.840.1.113730.1.1", &[3, 2, 7, 0x80]),
            "csr-extension",
            &["netscapeCertType"],
        ),
        ("unknown", with("1.2.3.4", &[5, 0]), "csr-extension", &["extension 1.2.3.4 with the value 0500"]),
        (
            "mail",
            asking(&key, &[san(&[(MAIL, "root@lab")])]),
            "csr-name",
            &["a mail address (rfc822Name) in its subjectAltName", IDENTITY],
        ),
        (
            "principal name",
            with(SUBJECT_ALT_NAME, &other_name("1.3.6.1.4.1.311.20.2.3")),
            "csr-name",
            &["otherName Microsoft userPrincipalName"],
        ),
        (
            "host",
            asking(&key, &[san(&[(DNS, "evil.lab")])]),
            "csr-name",
            &["the DNS name \"evil.lab\"", "DNS name \"pump-01.lab\"", "address 10.0.0.1"],
        ),
        (
            "multi-valued RDN",
            subject(&[&pair("2.5.4.3", 0x0c, b"pump-01"), &pair("2.5.4.11", 0x0c, b"Line 2")]),
            "csr-name",
            &["organizationalUnitName (2.5.4.11) \"Line 2\""],
        ),
        (
            "two common names",
            subject(&[&pair("2.5.4.3", 0x0c, b"pump-01"), &pair("2.5.4.3", 0x13, b"pump-01")]),
            "csr-name",
            &["2 common names"],
        ),
        (
            "another in UniversalString",
            subject(&[&pair("2.5.4.3", 0x1c, &wide)]),
            "csr-name",
            &["commonName (2.5.4.3) \"pump-02\""],
        ),
        (
            "no text",
            subject(&[&pair("2.5.4.3", 0x02, &[1])]),
            "csr-name",
            &["commonName (2.5.4.3) that is no text"],
        ),
        (
            "unknown attribute",
            subject(&[&pair("1.2.3.4", 0x0c, b"\x1b[31m")]),
            "csr-name",
            &["1.2.3.4 \"\\u{1b}[31m\""],
        ),
        (
            "another unstructuredName",
            attributed("1.2.840.113549.1.9.2", &element(0x0c, &[b"Acme"])),
            "csr-name",
            &["unstructuredName (1.2.840.113549.1.9.2) \"Acme\""],
        ),
        (
            "friendlyName",
            attributed("1.2.840.113549.1.9.20", &element(0x1e, &[b"\0x"])),
            "csr-attribute",
            &["friendlyName (1.2.840.113549.1.9.20)"],
        ),
        (
            "CA",
            with(BASIC_CONSTRAINTS, &basic_constraints(true, None)),
            "csr-ca",
            &["basicConstraints, 2.5.29.19", "cA FALSE"],
        ),
        (
            "broken",
            with(BASIC_CONSTRAINTS, &[5, 0]),
            "csr-malformed",
            &["basicConstraints (2.5.29.19) cannot be read"],
        ),
        (
            "twice",
            asking(&key, &[san(&[(URI, IDENTITY)]), san(&[(URI, IDENTITY)])]),
            "csr-malformed",
            &["subjectAltName (2.5.29.17) stands twice"],
        ),
    ];
    for (name, der, code, says) in rows {
        let fault = judged(&der).unwrap_err();
        assert_eq!(fault.code(), code, "{name}: {fault}");
        let text = fault.to_string();
        for part in says {
            assert!(text.contains(part), "{name}: `{part}` in: {text}");
        }
        assert!(text.len() < 1024 && !text.contains('\u{1b}'), "{name}: {text}");
    }
}
