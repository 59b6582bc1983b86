//! Paths of requests: what they name, percent-decoded once (RFC 3986 §2.1).

/// Longest path: a topic of 1024 octets, each percent-encoded.
const PATH_OCTETS_MAX: usize = 4 * 1024;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// `/publish/TOPIC`
    Publish(String),
    /// `/updates/MODEL/FILE`
    Update { model: String, file: String },
    /// Anything else.
    Nothing,
}

impl Asked {
    pub(crate) fn read(path: &str) -> Self {
        if path.len() > PATH_OCTETS_MAX {
            return Self::Nothing;
        }
        if let Some(topic) = path.strip_prefix("/publish/").and_then(decoded) {
            return Self::Publish(topic);
        }
        // Split before it is decoded: an encoded slash is no separator, and no name holds one.
        let names = path.strip_prefix("/updates/").and_then(|rest| rest.split_once('/'));
        match names.map(|(model, file)| (decoded(model), decoded(file))) {
            Some((Some(model), Some(file))) => Self::Update { model, file },
            _ => Self::Nothing,
        }
    }
}

/// Whether a topic has a level without a name. MQTT knows such levels; in a path they are a mistake, and whoever is
/// behind may read `a//b` as `a/b`.
pub(crate) fn has_empty_level(topic: &str) -> bool {
    topic.split('/').any(str::is_empty)
}

/// Percent-decodes once. `None` when it is no UTF-8, or an escape is broken.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let (mut octets, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (digits, after) = after.split_first_chunk::<2>()?;
        let mut octet = [0];
        hex::decode_to_slice(digits, &mut octet).ok()?;
        octets.extend(octet);
        rest = after;
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_topic_or_a_file_or_nothing() {
        let update = |model: &str, file: &str| Asked::Update { model: model.into(), file: file.into() };
        let rows = [
            ("topic", "/publish/plant/pump-01/t", Asked::Publish("plant/pump-01/t".into())),
            ("escaped slash in a topic", "/publish/plant%2fpump-01", Asked::Publish("plant/pump-01".into())),
            ("decoded once", "/publish/a%252fb", Asked::Publish("a%2fb".into())),
            ("file", "/updates/x200/fw.bin", update("x200", "fw.bin")),
            ("escaped climb stays in the name", "/updates/x200/..%2f..%2fseed", update("x200", "../../seed")),
            ("deeper path stays in the name", "/updates/x200/a/b", update("x200", "a/b")),
            ("no file", "/updates/x200", Asked::Nothing),
            ("broken escape", "/publish/a%2", Asked::Nothing),
            ("not UTF-8", "/publish/%ff", Asked::Nothing),
            ("another", "/admin", Asked::Nothing),
            ("another case", "/PUBLISH/a", Asked::Nothing),
        ];
        for (name, path, expected) in rows {
            assert_eq!(Asked::read(path), expected, "{name}");
        }
        assert_eq!(Asked::read(&format!("/publish/{}", "a".repeat(5000))), Asked::Nothing);
    }
}
