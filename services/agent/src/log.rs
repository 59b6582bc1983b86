//! The log: standard error, a line for each thing that is worth knowing. A disk that is full, or a reader that stalls or
//! went away, takes no line: that is no reason to let an identity end.

pub(crate) use touchmark_logging::{LAST_WORDS, end_process, flush, line};
