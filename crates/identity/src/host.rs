//! Host names as certificates carry them.

const OCTETS_MAX: usize = 253;

/// A DNS name in lower case, without wildcards (RFC 1035 §2.3.1, RFC 1123 §2.1, RFC 6125 §6.4.1). A last label of
/// digits alone would be read as an IPv4 address.
pub fn is_dns_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    };
    let numeric = |label: &str| label.bytes().all(|octet| octet.is_ascii_digit());
    host.len() <= OCTETS_MAX && host.split('.').all(label) && !host.rsplit('.').next().is_some_and(numeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_resolver_takes() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        let whole = [long.as_str(); 4].join(".");
        let rows: &[(&str, bool)] = &[
            ("lab", true),
            ("gw-1.example.org", true),
            ("3com.example", true),
            (&long, true),
            (&longer, false),
            (&whole[..253], true),
            (&whole[..254], false),
            ("", false),
            ("a..b", false),
            ("a.", false),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("*.a", false),
            ("bad host!", false),
            ("192.0.2.1", false),
            ("a.1", false),
            ("ä", false),
        ];
        for (host, good) in rows {
            assert_eq!(is_dns_name(host), *good, "{host:?}");
        }
    }
}
