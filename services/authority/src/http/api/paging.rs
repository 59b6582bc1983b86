//! Pages of lists. A cursor is the place of the last row, under a key that lives as long as the process: it is good for the
//! caller, the list and the filter that it was given for. What the caller may see is asked anew on every page.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::Called;
use crate::entropy::random;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use touchmark_api::{Cursor, ListQuery, Page};

const TAG_OCTETS: usize = 32;

/// What cursors are signed with.
pub(crate) struct CursorKey(hmac::Key);

impl CursorKey {
    pub(crate) fn draw() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()))
    }

    fn seal(&self, bound: &[u8], place: &str) -> Cursor {
        let tag = hmac::sign(&self.0, &[bound, place.as_bytes()].concat());
        Cursor::new(URL_SAFE_NO_PAD.encode([tag.as_ref(), place.as_bytes()].concat()))
    }

    fn open(&self, bound: &[u8], cursor: &Cursor) -> Option<String> {
        let octets = URL_SAFE_NO_PAD.decode(cursor.as_str()).ok()?;
        let (tag, place) = octets.split_at_checked(TAG_OCTETS)?;
        hmac::verify(&self.0, &[bound, place].concat(), tag).ok()?;
        String::from_utf8(place.to_vec()).ok()
    }
}

/// A page that is asked for.
pub(super) struct Paging {
    /// Most rows of it.
    pub(super) limit: usize,
    /// The place of the last row of the page before.
    pub(super) after: Option<String>,
    /// Caller, list and filter, as octets that end where they say.
    pub(super) bound: Vec<u8>,
}

/// A cursor that is not one of this list.
pub(super) fn bad_cursor() -> Refuse {
    let why = "it was given for another list, filter or caller, or before the authority started";
    let mut refuse = Refuse::value("cursor", why).fix("begin again, without a cursor");
    refuse.0.code = "cursor-invalid".to_owned();
    refuse
}

impl Called {
    /// Which page of the list at `path` is asked for: no more rows than the list's most, the rest comes with the next.
    pub(super) fn paging<Q: ListQuery>(
        &self,
        shell: &Shell,
        path: &str,
        query: &Q,
    ) -> Result<Paging, Refuse> {
        let mut filter = query.clone();
        let (limit, cursor) = (filter.limit().take(), filter.cursor().take());
        let limit = match limit.unwrap_or(Q::LIMIT_DEFAULT) {
            0 => return Err(Refuse::value("limit", "0: a number from 1 on")),
            limit => limit.min(Q::LIMIT_MAX),
        };
        let caller = &self.0;
        let filter = serde_json::to_string(&filter).unwrap_or_default();
        let bound = [path, caller.kind.as_str(), caller.name.as_str(), caller.environment.as_str(), &filter];
        // None of them has a zero octet.
        let bound = bound.map(|part| format!("{part}\0")).concat().into_bytes();
        let open = |cursor| shell.cursors.open(&bound, &cursor).ok_or_else(bad_cursor);
        Ok(Paging { limit, after: cursor.map(open).transpose()?, bound })
    }
}

impl Paging {
    /// Of rows with their places, in order, all after the page before, and one more than the limit if there is one.
    pub(super) fn page<T>(&self, shell: &Shell, mut rows: Vec<(String, T)>) -> Page<T> {
        let is_last = rows.len() <= self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| !is_last);
        let next = last.map(|(place, _)| shell.cursors.seal(&self.bound, place));
        Page { items: rows.into_iter().map(|(_, item)| item).collect(), next }
    }

    /// Of all rows, by their places.
    pub(super) fn cut<T>(&self, shell: &Shell, mut all: Vec<(String, T)>) -> Page<T> {
        all.retain(|(place, _)| self.after.as_ref().is_none_or(|after| place > after));
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.page(shell, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_where_it_was_given_and_unchanged() {
        let (key, other) = (CursorKey::draw(), CursorKey::draw());
        let cursor = key.seal(b"/v1/devices\0olga\0", "pump-07");
        assert_eq!(key.open(b"/v1/devices\0olga\0", &cursor).as_deref(), Some("pump-07"));
        assert_eq!(key.open(b"/v1/devices\0yuri\0", &cursor), None, "another caller");
        assert_eq!(other.open(b"/v1/devices\0olga\0", &cursor), None, "another process");
        let octets = URL_SAFE_NO_PAD.decode(cursor.as_str()).unwrap();
        for place in 0..octets.len() {
            let mut edited = octets.clone();
            edited[place] ^= 1;
            let edited = Cursor::new(URL_SAFE_NO_PAD.encode(edited));
            assert_eq!(key.open(b"/v1/devices\0olga\0", &edited), None, "octet {place}");
        }
        for foreign in ["", "pump-07", "AAAA", "\u{fe}"] {
            assert_eq!(key.open(b"", &Cursor::new(foreign.to_owned())), None, "{foreign:?}");
        }
    }
}
