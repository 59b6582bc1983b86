//! How one value looks in a column, in both directions. A value that cannot be read back is damage, never a default.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use touchmark_identity as identity;
use touchmark_identity::{RevocationReason, SerialNumber, SpiffeId, Timestamp};
use touchmark_inventory::{CertificateState, StoreFault};
use touchmark_journal::{AuthorityKind, CloneResponse, IdentityKind, Reach, RenewalManner, Standing};

/// A value of one column.
pub(super) trait Column: Sized {
    /// For a bound parameter.
    fn write(&self) -> ToSqlOutput<'_>;
    /// From a result; `None` is damage.
    fn read(value: ValueRef<'_>) -> Option<Self>;
}

fn borrowed_text(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
}

fn text_of(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

fn integer(number: i64) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Value::Integer(number))
}

macro_rules! names {
    ($($name:ty),*) => { $(impl Column for $name {
        fn write(&self) -> ToSqlOutput<'_> {
            borrowed_text(self.as_str())
        }
        fn read(value: ValueRef<'_>) -> Option<Self> {
            text_of(value)?.parse().ok()
        }
    })* };
}
names!(identity::Name, identity::EnvironmentName, identity::OrganisationName, identity::TrustDomain);
names!(RevocationReason);

macro_rules! words {
    ($($name:ty),*) => { $(impl Column for $name {
        fn write(&self) -> ToSqlOutput<'_> {
            borrowed_text(self.as_str())
        }
        fn read(value: ValueRef<'_>) -> Option<Self> {
            Self::from_word(text_of(value)?)
        }
    })* };
}
words!(AuthorityKind, CloneResponse, IdentityKind, Reach, RenewalManner, Standing, CertificateState);

macro_rules! octets {
    ($($name:ty),*) => { $(impl Column for $name {
        fn write(&self) -> ToSqlOutput<'_> {
            ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes()))
        }
        fn read(value: ValueRef<'_>) -> Option<Self> {
            Self::try_from(value.as_blob().ok()?).ok()
        }
    })* };
}
octets!(identity::DeviceId, identity::CertificateId, identity::AuthorityVersionId);
octets!(
    identity::MakerId,
    identity::ProfileVersionId,
    identity::TokenId,
    identity::Fingerprint,
    identity::SpkiHash
);

impl Column for SerialNumber {
    fn write(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(ValueRef::Blob(self.der_content()))
    }
    fn read(value: ValueRef<'_>) -> Option<Self> {
        Self::try_from(value.as_blob().ok()?).ok()
    }
}

impl<const N: usize> Column for [u8; N] {
    fn write(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(ValueRef::Blob(self))
    }
    fn read(value: ValueRef<'_>) -> Option<Self> {
        value.as_blob().ok()?.try_into().ok()
    }
}

impl Column for Vec<u8> {
    fn write(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(ValueRef::Blob(self))
    }
    fn read(value: ValueRef<'_>) -> Option<Self> {
        value.as_blob().ok().map(<[u8]>::to_vec)
    }
}

impl Column for String {
    fn write(&self) -> ToSqlOutput<'_> {
        borrowed_text(self)
    }
    fn read(value: ValueRef<'_>) -> Option<Self> {
        text_of(value).map(str::to_owned)
    }
}

impl Column for SpiffeId {
    fn write(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Owned(Value::Text(self.to_string()))
    }
    fn read(value: ValueRef<'_>) -> Option<Self> {
        text_of(value)?.parse().ok()
    }
}

/// The same bits: SQLite knows signed numbers only. Comparisons of such columns are made in Rust.
impl Column for u64 {
    fn write(&self) -> ToSqlOutput<'_> {
        integer(self.cast_signed())
    }
    fn read(value: ValueRef<'_>) -> Option<Self> {
        value.as_i64().ok().map(i64::cast_unsigned)
    }
}

macro_rules! small_numbers {
    ($($name:ty),*) => { $(impl Column for $name {
        fn write(&self) -> ToSqlOutput<'_> {
            integer(i64::from(*self))
        }
        fn read(value: ValueRef<'_>) -> Option<Self> {
            value.as_i64().ok()?.try_into().ok()
        }
    })* };
}
small_numbers!(u8, u32, i64);

impl Column for bool {
    fn write(&self) -> ToSqlOutput<'_> {
        integer(i64::from(*self))
    }
    fn read(value: ValueRef<'_>) -> Option<Self> {
        match value.as_i64().ok()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// Milliseconds; never above the year 9999, so SQL may compare them.
impl Column for Timestamp {
    fn write(&self) -> ToSqlOutput<'_> {
        integer(self.unix_ms().cast_signed())
    }
    fn read(value: ValueRef<'_>) -> Option<Self> {
        let ms = u64::try_from(value.as_i64().ok()?).ok()?;
        Some(Self::from_unix_ms(ms)).filter(|moment| moment.unix_ms() == ms)
    }
}

impl<T: Column> Column for Option<T> {
    fn write(&self) -> ToSqlOutput<'_> {
        self.as_ref().map_or(ToSqlOutput::Owned(Value::Null), T::write)
    }
    fn read(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Null => Some(None),
            value => T::read(value).map(Some),
        }
    }
}

/// Lists, as JSON: an operator can read them with `sqlite3`.
macro_rules! json {
    ($($name:ty),*) => { $(impl Column for $name {
        fn write(&self) -> ToSqlOutput<'_> {
            ToSqlOutput::Owned(Value::Text(serde_json::json!(self).to_string()))
        }
        fn read(value: ValueRef<'_>) -> Option<Self> {
            serde_json::from_str(text_of(value)?).ok()
        }
    })* };
}
json!(Vec<String>, Vec<(String, String)>);

/// Takes the columns of a result row from left to right.
pub(super) struct Columns<'a, 'row> {
    row: &'a rusqlite::Row<'row>,
    next: usize,
}

impl<'a, 'row> Columns<'a, 'row> {
    pub(super) fn of(row: &'a rusqlite::Row<'row>) -> Self {
        Self { row, next: 0 }
    }

    /// The next column.
    pub(super) fn take<T: Column>(&mut self) -> Result<T, StoreFault> {
        let at = self.next;
        self.next += 1;
        let damaged = || {
            let name = self.row.as_ref().column_name(at).unwrap_or("?");
            StoreFault::Damaged(format!("column `{name}` holds no value that this program writes"))
        };
        T::read(self.row.get_ref(at).map_err(|_| damaged())?).ok_or_else(damaged)
    }
}
