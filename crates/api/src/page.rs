//! Lists come in pages: `limit` and `cursor` in, `items` and `next` out.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Where a list goes on, for the same caller, list and filter. Opaque: only what an answer gave is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The answer to a [`ListQuery`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where to go on; `null` at the end.
    pub next: Option<Cursor>,
}

/// A query of a list: its filter, and which page.
pub trait ListQuery: Clone + Serialize {
    /// Rows of a page when none are asked for.
    const LIMIT_DEFAULT: usize = 100;
    /// Most rows of a page: who asks for more gets as many.
    const LIMIT_MAX: usize = 1000;

    fn limit(&mut self) -> &mut Option<usize>;
    fn cursor(&mut self) -> &mut Option<Cursor>;
}

/// A query with a limit and a cursor beside its filter.
macro_rules! list_query {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* } $($limits:item)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$fdoc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
            /// Most rows of the answer.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub limit: Option<usize>,
            /// `next` of the page before.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub cursor: Option<$crate::Cursor>,
        }

        impl $crate::ListQuery for $name {
            $($limits)*

            fn limit(&mut self) -> &mut Option<usize> {
                &mut self.limit
            }

            fn cursor(&mut self) -> &mut Option<$crate::Cursor> {
                &mut self.cursor
            }
        }
    };
}

pub(crate) use list_query;
