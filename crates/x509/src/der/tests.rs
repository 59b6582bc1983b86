use super::calendar::{civil_from_days, days_from_civil};
use super::*;

#[test]
fn lengths_are_minimal_and_read_back() {
    for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
        let content = vec![7; length];
        let (mut flat, mut nested) = (Vec::new(), Vec::new());
        put(&mut flat, OCTET_STRING, &content);
        nest(&mut nested, OCTET_STRING, |out| out.extend_from_slice(&content));
        assert_eq!(flat, nested, "{length}");
        let mut reader = Reader::new(&flat);
        assert_eq!(reader.content(OCTET_STRING), Ok(content.as_slice()), "{length}");
        assert_eq!(reader.finish(), Ok(()), "{length}");
    }
}

#[test]
fn only_der_is_read() {
    let rows: &[(&str, &[u8])] = &[
        ("nothing", &[]),
        ("no length", &[0x04]),
        ("indefinite length", &[0x04, 0x80, 0, 0]),
        ("length not minimal, long form", &[0x04, 0x81, 0x01, 0]),
        ("length with a zero in front", &[0x04, 0x82, 0x00, 0x80]),
        ("longer than the input", &[0x04, 0x02, 0]),
        ("length of five octets", &[0x04, 0x85, 1, 0, 0, 0, 0]),
        ("length near usize", &[0x04, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("high tag number", &[0x1f, 0x81, 0x01, 0]),
    ];
    for (name, input) in rows {
        assert_eq!(
            Reader::new(input).whole(input.first().copied().unwrap_or(OCTET_STRING)),
            Err(NotDer),
            "{name}"
        );
    }
}

#[test]
fn integers_are_minimal_and_not_negative() {
    let rows: [(u64, &[u8]); 6] = [
        (0, &[2, 1, 0]),
        (1, &[2, 1, 1]),
        (0x7f, &[2, 1, 0x7f]),
        (0x80, &[2, 2, 0, 0x80]),
        (0x1_0000, &[2, 3, 1, 0, 0]),
        (u64::MAX, &[2, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ];
    for (value, der) in rows {
        let mut out = Vec::new();
        put_unsigned(&mut out, value);
        assert_eq!(out, der, "{value}");
        assert_eq!(Reader::new(der).unsigned(), Ok(value), "{value}");
    }
    for (name, der) in [("negative", [2, 1, 0x80].as_slice()), ("padded", &[2, 2, 0, 1]), ("empty", &[2, 0])]
    {
        assert_eq!(Reader::new(der).magnitude(), Err(NotDer), "{name}");
    }
}

#[test]
fn a_time_is_utc_through_2049_and_generalized_after() {
    let rows: [(u64, &[u8]); 6] = [
        (0, b"\x17\x0d700101000000Z"),
        (951_782_400, b"\x17\x0d000229000000Z"),
        (1_769_904_001, b"\x17\x0d260201000001Z"),
        (2_524_607_999, b"\x17\x0d491231235959Z"),
        (2_524_608_000, b"\x18\x0f20500101000000Z"),
        (253_402_300_799, b"\x18\x0f99991231235959Z"),
    ];
    for (second, der) in rows {
        let mut out = Vec::new();
        put_time(&mut out, Timestamp::from_unix_s(second));
        assert_eq!(out, der, "{second}");
        assert_eq!(Reader::new(der).time(), Ok(Timestamp::from_unix_s(second)), "{second}");
    }
}

#[test]
fn a_moment_that_no_calendar_holds_is_refused() {
    let rows: [(&str, &[u8]); 6] = [
        ("30 February", b"\x17\x0d260230000000Z"),
        ("month 13", b"\x17\x0d261301000000Z"),
        ("hour 24", b"\x17\x0d260101240000Z"),
        ("before 1970", b"\x17\x0d690101000000Z"),
        ("an offset", b"\x17\x11260101000000+0100"),
        ("no seconds", b"\x17\x0b2601010000Z"),
    ];
    for (name, der) in rows {
        assert_eq!(Reader::new(der).time(), Err(NotDer), "{name}");
    }
}

#[test]
fn every_day_to_the_year_9999_comes_back() {
    for days in (0..2_932_896).step_by(7) {
        let (year, month, day) = civil_from_days(days);
        assert_eq!(days_from_civil(year, month, day), days);
    }
}

#[test]
fn an_oid_reads_from_dotted_text() {
    assert_eq!(oid_content("1.3.6.1.5.5.7.3.2"), Some(vec![0x2b, 6, 1, 5, 5, 7, 3, 2]));
    assert_eq!(oid_content("2.999"), Some(vec![0x88, 0x37]));
    assert_eq!(oid_content(crate::extensions::SCOPE).as_deref(), Some(oids::SCOPE), "an arc of 128 bits");
    assert_eq!(oid_content("1.2.840.10045.2.1"), Some(vec![0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]));
    for bad in [
        "",
        "1",
        "3.1",
        "1.40",
        "1.2.x",
        "1..2",
        "1.2.03",
        "1.2.+3",
        "1.2.340282366920938463463374607431768211456",
    ] {
        assert_eq!(oid_content(bad), None, "{bad}");
    }
}
