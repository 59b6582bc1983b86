use super::*;
use proptest::prelude::*;

fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_s(s)
}

fn window(start_s: u64, end_s: u64) -> RenewalWindow {
    RenewalWindow::new(at(start_s), at(end_s)).unwrap()
}

#[test]
fn a_certificate_is_renewed_at_two_thirds_or_up_to_a_tenth_before() {
    const DAY: u64 = 86_400;
    let rows: &[(&str, u64, u16, u64)] = &[
        // lifetime, seed, milliseconds into the life
        ("two minutes, last", 120, 0, 79_999),
        ("two minutes, first", 120, u16::MAX, 67_999),
        ("two minutes, middle", 120, 0x8000, 73_999),
        ("30 days, last", 30 * DAY, 0, 20 * DAY * 1000 - 1),
        ("30 days, first", 30 * DAY, u16::MAX, 17 * DAY * 1000 - 1),
        ("two seconds", 2, u16::MAX, 1_132),
    ];
    for (name, life, seed, expected) in rows {
        let validity = Validity::new(1000, 1000 + life - 1).unwrap();
        let moment = renew_at(validity, *seed).since(validity.not_before());
        assert_eq!(moment, Duration::from_millis(*expected), "{name}");
    }
}

#[test]
fn a_window_inside_the_life_is_kept_to_and_one_beyond_it_only_brings_forward() {
    let validity = Validity::new(1000, 1899).unwrap();
    let own = renew_at(validity, 0);
    let rows: &[(&str, Option<RenewalWindow>, u16, Timestamp)] = &[
        ("no word", None, 0, own),
        ("late in the life, first", Some(window(1700, 1800)), 0, at(1700)),
        ("late in the life, last", Some(window(1700, 1800)), u16::MAX, at(1800)),
        ("up to the last second", Some(window(1899, 1899)), 7, at(1899)),
        ("past the end", Some(window(1900, 2000)), 0, own),
        ("far in the future", Some(window(1_000_000, 253_402_300_799)), 0, own),
        ("begins inside, ends beyond", Some(window(1100, 5000)), 0, at(1100)),
        (
            "begins inside, ends beyond, drawn late",
            Some(window(1100, 5000)),
            u16::MAX,
            renew_at(validity, u16::MAX),
        ),
        ("at once", Some(window(0, 0)), 0, at(0)),
    ];
    for (name, window, seed, expected) in rows {
        assert_eq!(due_at(validity, *window, *seed), *expected, "{name}");
    }
}

#[test]
fn a_header_is_read_as_it_is_written() {
    let long = format!("start=1, end=2, x={}", "1".repeat(HINT_OCTETS_MAX));
    let many = (0..10).map(|n| format!("x{n}=1")).collect::<Vec<_>>().join(",");
    let rows: &[(&str, &str, Result<RenewalWindow, BadHint>)] = &[
        ("as written", "start=1700000000, end=1700000600", Ok(window(1_700_000_000, 1_700_000_600))),
        ("no blanks, other order", "end=5,start=3", Ok(window(3, 5))),
        ("a field of the future", "start=3, end=5, load=7", Ok(window(3, 5))),
        ("one second", "start=3, end=3", Ok(window(3, 3))),
        ("past 9999 is held at it", "start=3, end=18446744073709551615", Ok(window(3, 253_402_300_799))),
        ("backwards", "start=5, end=3", Err(BadHint::Backwards)),
        ("no end", "start=5", Err(BadHint::Incomplete)),
        ("twice", "start=5, end=6, start=4", Err(BadHint::Repeated)),
        ("empty", "", Err(BadHint::Malformed)),
        ("no number", "start=soon, end=6", Err(BadHint::Malformed)),
        ("negative", "start=-5, end=6", Err(BadHint::Malformed)),
        ("fraction", "start=5.0, end=6", Err(BadHint::Malformed)),
        ("exponent", "start=5e3, end=6", Err(BadHint::Malformed)),
        ("does not fit", "start=5, end=18446744073709551616", Err(BadHint::Malformed)),
        ("semicolons", "start=5; end=6", Err(BadHint::Malformed)),
        ("trailing comma", "start=5, end=6,", Err(BadHint::Malformed)),
        ("too long", &long, Err(BadHint::TooLong)),
        ("too many fields", &many, Err(BadHint::Malformed)),
    ];
    for (name, value, expected) in rows {
        assert_eq!(RenewalWindow::from_header(value), *expected, "{name}");
    }
    let shown = window(1_700_000_000, 1_700_000_600).to_header();
    assert_eq!(shown, "start=1700000000, end=1700000600");
}

#[test]
fn a_body_is_read_as_it_is_written() {
    let hint = |retry_after_s: Option<u64>| RenewalHint {
        window: window(3, 5),
        retry_after: retry_after_s.map(Duration::from_secs),
    };
    let long = format!(r#"{{"start":3,"end":5{}}}"#, " ".repeat(HINT_OCTETS_MAX));
    let rows: &[(&str, &str, Result<RenewalHint, BadHint>)] = &[
        ("whole", r#"{"start":3,"end":5,"retry_after":3600}"#, Ok(hint(Some(3600)))),
        ("blanks and a line feed", "{ \"end\": 5,\n \"start\" : 3 }\n", Ok(hint(None))),
        ("a field of the future", r#"{"start":3,"end":5,"load":9}"#, Ok(hint(None))),
        ("backwards", r#"{"start":6,"end":5}"#, Err(BadHint::Backwards)),
        ("no start", r#"{"end":5}"#, Err(BadHint::Incomplete)),
        ("twice", r#"{"start":3,"end":5,"end":9}"#, Err(BadHint::Repeated)),
        ("empty object", "{}", Err(BadHint::Malformed)),
        ("nothing", "", Err(BadHint::Malformed)),
        ("cut off", r#"{"start":3,"end":5"#, Err(BadHint::Malformed)),
        ("more behind it", r#"{"start":3,"end":5}{"start":3,"end":5}"#, Err(BadHint::Malformed)),
        ("a list", "[3,5]", Err(BadHint::Malformed)),
        ("nested", r#"{"start":{"start":3},"end":5}"#, Err(BadHint::Malformed)),
        ("text", r#"{"start":"3","end":5}"#, Err(BadHint::Malformed)),
        ("escaped name", r#"{"st\u0061rt":3,"end":5}"#, Err(BadHint::Malformed)),
        ("leading zero", r#"{"start":03,"end":5}"#, Err(BadHint::Malformed)),
        ("null", r#"{"start":3,"end":null}"#, Err(BadHint::Malformed)),
        ("too long", &long, Err(BadHint::TooLong)),
    ];
    for (name, body, expected) in rows {
        assert_eq!(RenewalHint::from_json(body.as_bytes()), *expected, "{name}");
    }
    assert_eq!(RenewalHint::from_json(&[0xff]), Err(BadHint::Malformed), "no UTF-8");
    assert_eq!(hint(Some(60)).to_json(), r#"{"start":3,"end":5,"retry_after":60}"#);
    assert_eq!(hint(None).to_json(), r#"{"start":3,"end":5}"#);
}

proptest! {
    #[test]
    fn the_moment_lies_between_half_and_two_thirds_of_any_life(
        from in 0u64..200_000_000_000, life in 60u64..3_200_000_000, seed: u16,
    ) {
        let validity = Validity::new(from, from + life - 1).unwrap();
        let moment = renew_at(validity, seed).since(validity.not_before());
        prop_assert!(moment * 3 <= validity.lifetime() * 2);
        prop_assert!(moment * 2 >= validity.lifetime());
    }

    #[test]
    fn a_later_lot_is_never_later_without_a_window_and_never_earlier_in_one(
        life in 2u64..1_000_000_000, start in 0u64..1_000_000_000, width in 0u64..1_000_000_000, a: u16, b: u16,
    ) {
        let (low, high) = (a.min(b), a.max(b));
        let validity = Validity::new(1, life).unwrap();
        prop_assert!(renew_at(validity, low) >= renew_at(validity, high));
        let window = window(start, start + width);
        prop_assert!(window.start() <= pick(window, low) && pick(window, low) <= pick(window, high));
        prop_assert!(pick(window, high) <= window.end());
    }

    #[test]
    fn any_words_are_read_or_refused_and_what_is_written_reads_back(
        text in ".{0,300}", start in 0u64..253_402_300_799, width in 0u64..1_000_000, wait in proptest::option::of(0u64..u64::MAX),
    ) {
        let _ = RenewalWindow::from_header(&text);
        let _ = RenewalHint::from_json(text.as_bytes());
        let window = window(start, start + width);
        let hint = RenewalHint { window, retry_after: wait.map(Duration::from_secs) };
        prop_assert_eq!(RenewalWindow::from_header(&window.to_header()), Ok(window));
        prop_assert_eq!(RenewalHint::from_json(hint.to_json().as_bytes()), Ok(hint));
    }
}
