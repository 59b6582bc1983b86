use super::*;
use crate::der;
use crate::extensions::HARDWARE_MODULE_NAME;
use crate::forge::*;
use crate::signer::Signer;

const SERIAL_NUMBER: &str = "2.5.4.5";

fn module(serial: &[u8]) -> Vec<u8> {
    let module = element(0x30, &[&oid("2.999.9"), &element(der::OCTET_STRING, &[serial])]);
    element(0xa0, &[&oid(HARDWARE_MODULE_NAME), &element(0xa0, &[&module])])
}

fn forged(serials: &[&str], modules: &[&[u8]]) -> Forged {
    let maker = root("maker");
    let subject: Vec<u8> = serials.iter().flat_map(|serial| attribute(SERIAL_NUMBER, serial)).collect();
    let names: Vec<u8> = modules.iter().flat_map(|serial| module(serial)).collect();
    let forged = Forged::device("a", key().public_key(), &maker.certificate)
        .change(|f| f.subject = element(0x30, &[&attribute("2.5.4.3", "X200"), &subject]));
    if modules.is_empty() {
        forged.without(SUBJECT_ALT_NAME)
    } else {
        forged.with(SUBJECT_ALT_NAME, true, element(0x30, &[&names]))
    }
}

#[test]
fn hardware_is_named_once_or_twice_the_same() {
    type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a [u8]], Result<&'a str, &'a str>);
    let long = "7".repeat(HardwareId::CHARS_MAX);
    let too_long = "7".repeat(HardwareId::CHARS_MAX + 1);
    let most = format!("hex:{}", "00".repeat(HardwareId::OCTETS_MAX));
    let rows: &[Row<'_>] = &[
        ("in the subject", &["SN-1"], &[], Ok("SN-1")),
        ("with spaces inside", &["PID:X200 SN:1"], &[], Ok("PID:X200 SN:1")),
        ("in the subjectAltName", &[], &[b"SN-1"], Ok("SN-1")),
        ("in both", &["SN-1"], &[b"SN-1"], Ok("SN-1")),
        ("in both, spelt", &["00ABFF"], &[&[0, 0xab, 0xff]], Ok("00ABFF")),
        ("octets", &[], &[&[0, 0xab, 0xff]], Ok("hex:00abff")),
        ("octets of which some are letters", &[], &[b"SN\x001"], Ok("hex:534e0031")),
        ("octets of white space", &[], &[b" "], Ok("hex:20")),
        ("most octets", &[], &[&[0; 32]], Ok(&most)),
        ("octets twice", &[], &[&[0xde, 0xad], &[0xde, 0xad]], Ok("hex:dead")),
        ("text that octets would spell", &[], &[b"dead"], Ok("dead")),
        (
            "octets and the text that spells them",
            &[],
            &[&[0xde, 0xad], b"dead"],
            Err("hardware-id-disagreeing"),
        ),
        ("text as octets are written", &["hex:dead"], &[], Err("hardware-id-malformed")),
        ("text in octets, as octets are written", &[], &[b"hex:dead"], Err("hardware-id-malformed")),
        ("both, as octets are written", &["hex:dead"], &[&[0xde, 0xad]], Err("hardware-id-malformed")),
        ("text nearly so", &["HEX:dead"], &[b"HEX:dead"], Ok("HEX:dead")),
        ("twice the same", &["SN-1", "SN-1"], &[b"SN-1", b"SN-1"], Ok("SN-1")),
        ("longest", &[&long], &[long.as_bytes()], Ok(&long)),
        ("nowhere", &[], &[], Err("hardware-id-missing")),
        ("in both, differing", &["SN-1"], &[b"SN-2"], Err("hardware-id-disagreeing")),
        ("in other letters", &["SN-1"], &[b"sn-1"], Err("hardware-id-disagreeing")),
        ("text that another one's octets spell", &["00abff"], &[b"00ABFF"], Err("hardware-id-disagreeing")),
        ("two in the subject", &["SN-1", "SN-2"], &[], Err("hardware-id-disagreeing")),
        ("two in the subjectAltName", &[], &[b"SN-1", b"SN-2"], Err("hardware-id-disagreeing")),
        ("empty", &[], &[b""], Err("hardware-id-malformed")),
        ("too long", &[&too_long], &[], Err("hardware-id-malformed")),
        ("too many octets", &[], &[&[0; 33]], Err("hardware-id-malformed")),
        ("with a line feed", &["SN\n1"], &[], Err("hardware-id-malformed")),
        ("with a space at the end", &["SN-1 "], &[], Err("hardware-id-malformed")),
        ("in other letters than ASCII", &["SN-ß"], &[], Err("hardware-id-malformed")),
    ];
    for (name, serials, modules, expected) in rows {
        let certificate = forged(serials, modules).signed_by(&key());
        let found = HardwareId::of(&certificate);
        let found = found.as_ref().map(HardwareId::as_str).map_err(|bad| bad.code());
        assert_eq!(found, *expected, "{name}");
        if let Ok(id) = HardwareId::of(&certificate) {
            assert_eq!(id.as_str().parse(), Ok(id.clone()), "{name}: reads back as it is written");
        }
    }
}

#[test]
fn an_operator_writes_octets_in_one_way_and_text_as_it_is() {
    let most = "hex:".to_owned() + &"00".repeat(HardwareId::OCTETS_MAX);
    let too_many = most.clone() + "00";
    let rows: &[(&str, Option<&str>)] = &[
        ("dead", Some("dead")),
        ("DEAD", Some("DEAD")),
        ("hex:dead", Some("hex:dead")),
        ("hex:DEad", Some("hex:dead")),
        ("hex:00", Some("hex:00")),
        (&most, Some(&most)),
        ("HEX:dead", Some("HEX:dead")),
        ("0xdead", Some("0xdead")),
        ("hex:", None),
        ("hex:dea", None),
        ("hex:de ad", None),
        ("hex:+eff", None),
        ("hex:d\u{e9}ad", None),
        ("hex:534e2d31", None),
        (" hex:dead", None),
        (&too_many, None),
    ];
    for (written, expected) in rows {
        let id: Option<HardwareId> = written.parse().ok();
        assert_eq!(id.as_ref().map(HardwareId::as_str), *expected, "{written}");
    }
}

#[test]
fn octets_are_never_the_text_that_spells_them() {
    for (octets, text) in
        [(&b"\xde\xad"[..], "dead"), (b"\x00\x01", "0001"), (b"\x7f", "7f"), (b"\xab\xcd", "ABCD")]
    {
        let by_octets = HardwareId::of(&forged(&[], &[octets]).signed_by(&key())).unwrap();
        for by_text in [
            text.parse().unwrap(),
            HardwareId::of(&forged(&[], &[text.as_bytes()]).signed_by(&key())).unwrap(),
            HardwareId::of(&forged(&[text], &[]).signed_by(&key())).unwrap(),
        ] {
            assert_ne!(by_octets, by_text, "{text}");
        }
        assert_eq!(format!("hex:{text}").parse(), Ok(by_octets), "{text}");
    }
}

#[test]
fn a_broken_hardware_module_name_is_no_certificate() {
    let serial = || element(der::OCTET_STRING, &[b"SN-1"]);
    let rows: &[(&str, Vec<u8>, bool)] = &[
        ("as it should be", element(0x30, &[&oid("1.2.3"), &serial()]), true),
        ("no type", element(0x30, &[&serial()]), false),
        ("no number", element(0x30, &[&oid("1.2.3")]), false),
        ("more than two fields", element(0x30, &[&oid("1.2.3"), &serial(), &serial()]), false),
        ("a number that is text", element(0x30, &[&oid("1.2.3"), &element(0x0c, &[b"SN-1"])]), false),
        ("no sequence", serial(), false),
    ];
    for (name, module, good) in rows {
        let other = element(0xa0, &[&oid(HARDWARE_MODULE_NAME), &element(0xa0, &[module])]);
        let forged = forged(&[], &[b"x"]).with(SUBJECT_ALT_NAME, false, element(0x30, &[&other]));
        assert_eq!(Certificate::from_der(&forged.to_der(&key())).is_ok(), *good, "{name}");
    }
}

#[test]
fn an_identifier_stays_out_of_debug_output() {
    let id: HardwareId = "SN-4711".parse().unwrap();
    assert!(!format!("{id:?}").contains("4711"));
}
