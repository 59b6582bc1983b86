//! EST's paths: `/.well-known/est/[label/]operation` (RFC 7030 §3.2.2).

use super::EstFault;
use crate::Intent;
use touchmark_identity::EnvironmentName;

/// Everything of EST lies below.
pub const ROOT: &str = "/.well-known/est/";

/// What RFC 7030 defines; which of it is offered is the server's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Current CA certificates (§4.1).
    CaCerts,
    /// A first certificate (§4.2.1).
    SimpleEnroll,
    /// A successor (§4.2.2).
    SimpleReenroll,
    /// Full CMC (§4.3).
    FullCmc,
    /// A key pair made by the server (§4.4).
    ServerKeyGen,
    /// What a request should hold (§4.5).
    CsrAttrs,
}

impl Operation {
    const ALL: [Self; 6] = [
        Self::CaCerts,
        Self::SimpleEnroll,
        Self::SimpleReenroll,
        Self::FullCmc,
        Self::ServerKeyGen,
        Self::CsrAttrs,
    ];

    /// The last segment of its path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CaCerts => "cacerts",
            Self::SimpleEnroll => "simpleenroll",
            Self::SimpleReenroll => "simplereenroll",
            Self::FullCmc => "fullcmc",
            Self::ServerKeyGen => "serverkeygen",
            Self::CsrAttrs => "csrattrs",
        }
    }

    /// The only HTTP method that it takes.
    pub fn method(self) -> &'static str {
        match self {
            Self::CaCerts | Self::CsrAttrs => "GET",
            Self::SimpleEnroll | Self::SimpleReenroll | Self::FullCmc | Self::ServerKeyGen => "POST",
        }
    }

    /// Refuses any other method; HEAD goes with GET.
    ///
    /// # Errors
    /// [`EstFault::WrongMethod`].
    pub fn demand_method(self, method: &str) -> Result<(), EstFault> {
        let allow = self.method();
        if method == allow || (method == "HEAD" && allow == "GET") {
            Ok(())
        } else {
            Err(EstFault::WrongMethod { allow })
        }
    }

    /// What an enrolling operation wants, for those that are offered.
    pub fn intent(self) -> Option<Intent> {
        match self {
            Self::SimpleEnroll => Some(Intent::Enrol),
            Self::SimpleReenroll => Some(Intent::Renew),
            Self::CaCerts | Self::CsrAttrs | Self::FullCmc | Self::ServerKeyGen => None,
        }
    }

    /// Whether no label may be called so: the path would not say which is meant (RFC 7030 §3.2.2).
    pub fn reserves(label: &str) -> bool {
        Self::from_segment(label).is_some()
    }

    fn from_segment(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text)
    }
}

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstPath {
    /// The environment; `None` is the default environment.
    pub label: Option<EnvironmentName>,
    /// What is asked.
    pub operation: Operation,
}

impl EstPath {
    /// Reads an undecoded path without its query. There is one spelling: no escapes, no empty or extra segment.
    ///
    /// # Errors
    /// [`EstFault::UnknownPath`]. A label that is an operation's name is refused too (§3.2.2).
    pub fn parse(path: &str) -> Result<Self, EstFault> {
        let rest = path.strip_prefix(ROOT).ok_or(EstFault::UnknownPath)?;
        let (label, operation) = match rest.split_once('/') {
            None => (None, rest),
            Some((label, _)) if Operation::from_segment(label).is_some() => {
                return Err(EstFault::UnknownPath);
            }
            Some((label, operation)) => (Some(label.parse().map_err(|_| EstFault::UnknownPath)?), operation),
        };
        let operation = Operation::from_segment(operation).ok_or(EstFault::UnknownPath)?;
        Ok(Self { label, operation })
    }

    /// Writes the path.
    pub fn to_path(&self) -> String {
        let operation = self.operation.as_str();
        match &self.label {
            Some(label) => format!("{ROOT}{label}/{operation}"),
            None => format!("{ROOT}{operation}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        use Operation::{CaCerts, CsrAttrs, FullCmc, ServerKeyGen, SimpleEnroll, SimpleReenroll};
        type Read = Option<(Option<&'static str>, Operation)>;
        let rows: &[(&str, Read)] = &[
            ("/.well-known/est/cacerts", Some((None, CaCerts))),
            ("/.well-known/est/simpleenroll", Some((None, SimpleEnroll))),
            ("/.well-known/est/simplereenroll", Some((None, SimpleReenroll))),
            ("/.well-known/est/csrattrs", Some((None, CsrAttrs))),
            ("/.well-known/est/serverkeygen", Some((None, ServerKeyGen))),
            ("/.well-known/est/fullcmc", Some((None, FullCmc))),
            ("/.well-known/est/lab/cacerts", Some((Some("lab"), CaCerts))),
            ("/.well-known/est/a.b_c-1/simpleenroll", Some((Some("a.b_c-1"), SimpleEnroll))),
            ("/.well-known/est", None),
            ("/.well-known/est/", None),
            ("/.well-known/est/lab", None),
            ("/.well-known/est/lab/", None),
            ("/.well-known/est/cacerts/", None),
            ("/.well-known/est//cacerts", None),
            ("/.well-known/est/cacerts/cacerts", None),
            ("/.well-known/est/lab/plant/cacerts", None),
            ("/.well-known/est/LAB/cacerts", None),
            ("/.well-known/est/CaCerts", None),
            ("/.well-known/est/../cacerts", None),
            ("/.well-known/est/l%61b/cacerts", None),
            ("/.well-known/est/cacerts?x", None),
            ("/x/.well-known/est/cacerts", None),
            ("", None),
        ];
        for (path, expected) in rows {
            let read = EstPath::parse(path);
            let label = |path: &EstPath| path.label.as_ref().map(|label| label.as_str().to_owned());
            assert_eq!(
                read.as_ref().ok().map(|read| (label(read), read.operation)),
                expected.map(|(label, operation)| (label.map(str::to_owned), operation)),
                "{path}"
            );
            if let Ok(read) = read {
                assert_eq!(read.to_path(), *path, "writes what it read");
            }
        }
    }

    #[test]
    fn each_operation_has_its_method() {
        let rows: &[(Operation, &str, bool)] = &[
            (Operation::CaCerts, "GET", true),
            (Operation::CaCerts, "HEAD", true),
            (Operation::CaCerts, "POST", false),
            (Operation::SimpleEnroll, "POST", true),
            (Operation::SimpleEnroll, "GET", false),
            (Operation::SimpleEnroll, "HEAD", false),
            (Operation::SimpleReenroll, "PUT", false),
            (Operation::CsrAttrs, "post", false),
        ];
        for (operation, method, good) in rows {
            assert_eq!(operation.demand_method(method).is_ok(), *good, "{method} {operation:?}");
        }
    }
}
