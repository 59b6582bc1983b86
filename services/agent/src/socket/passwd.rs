//! Users by name, from `/etc/passwd`: a static program has no other way to ask (passwd(5)).

use std::fs::File;
use std::io::Read as _;

const PASSWD: &str = "/etc/passwd";
/// Longest table read: a device knows some dozens of users.
const OCTETS_MAX: u64 = 1024 * 1024;

/// The number of a user that is given by number or by name.
///
/// # Errors
/// Words for the operator.
pub fn uid_of(word: &str) -> Result<u32, String> {
    if let Ok(uid) = word.parse() {
        return Ok(uid);
    }
    let mut table = Vec::new();
    File::open(PASSWD)
        .and_then(|file| file.take(OCTETS_MAX).read_to_end(&mut table))
        .map_err(|error| format!("{PASSWD}: {error}"))?;
    in_table(&String::from_utf8_lossy(&table), word).ok_or_else(|| format!("no user `{word}` in {PASSWD}"))
}

fn in_table(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        found.then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let table = "root:x:0:0:root:/root:/bin/sh\napp:x:1001:1001::/:\nbroken:x:-1:\nshort:x\n";
        let rows = [
            ("root", Some(0)),
            ("app", Some(1001)),
            ("ap", None),
            ("broken", None),
            ("short", None),
            ("", None),
        ];
        for (name, expected) in rows {
            assert_eq!(in_table(table, name), expected, "{name}");
        }
        assert_eq!(uid_of("1234"), Ok(1234), "numbers need no table");
    }
}
