//! The Date of an answer (RFC 9110 §5.6.7): only the form that senders must write.

use touchmark_identity::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`; the day's name is not compared with the date.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let [day_name, day, month, year, time, "GMT"] = text.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    DAYS.iter().find(|name| day_name.strip_suffix(',') == Some(**name))?;
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    if day.len() != 2 || year.len() != 4 || time.len() != 8 {
        return None;
    }
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_in_its_one_form() {
        let rows: &[(&str, &str, Option<u64>)] = &[
            ("the standard's", "Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("leap day", "Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800)),
            ("no leap year", "Wed, 29 Feb 2023 00:00:00 GMT", None),
            ("obsolete", "Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("asctime", "Sun Nov  6 08:49:37 1994", None),
            ("another zone", "Sun, 06 Nov 1994 08:49:37 CET", None),
            ("before 1970", "Sun, 06 Nov 1960 08:49:37 GMT", None),
            ("no time", "Sun, 06 Nov 1994 GMT", None),
            ("signs", "Sun, +6 Nov 1994 08:49:37 GMT", None),
            ("empty", "", None),
        ];
        for (name, text, expected) in rows {
            assert_eq!(parse(text).map(Timestamp::unix_s), *expected, "{name}");
        }
    }
}
