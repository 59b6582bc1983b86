//! Why a row has no figure: a sentence for whoever reads the table, with its cause.

/// Everything that can go wrong is told to a person and ends one row, so it is text.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// A value, or why there is none.
pub(crate) type Outcome<T> = Result<T, Fault>;

/// What was being done when it went wrong.
pub(crate) trait While<T> {
    /// Puts `what` before the fault.
    fn while_(self, what: &str) -> Outcome<T>;
}

impl<T, E: Into<Fault>> While<T> for Result<T, E> {
    fn while_(self, what: &str) -> Outcome<T> {
        self.map_err(|fault| format!("{what}: {}", fault.into()).into())
    }
}

impl<T> While<T> for Option<T> {
    fn while_(self, what: &str) -> Outcome<T> {
        self.ok_or_else(|| what.to_owned().into())
    }
}
