//! A token for one enrolment: from a file, from stdin, or from the authority's answer.

use crate::failure::{Exit, Failure};
use crate::home;
use std::io::Read as _;
use std::path::Path;
use touchmark_identity::{Name, NamePrefix, Secret};

/// A token file is two short lines.
const TOKEN_OCTETS_MAX: u64 = 4096;

/// What a token file or a token's JSON says: user name and password of HTTP Basic. The user name is the device's, or the
/// prefix of a token for many, and then the request names the device.
#[derive(Debug)]
pub struct TokenSecret {
    pub username: NamePrefix,
    pub password: Secret<String>,
}

impl TokenSecret {
    /// Two lines: user name, password. What `token create` prints is taken as well, as text and as JSON.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || {
            Failure::usage("a token is two lines: user name, password")
                .fix("touchmark token create --env lab --device NAME --out FILE")
        };
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map(Self::of).map_err(|_| bad());
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut next = |label: &str| {
            let line = lines.next()?;
            Some(line.strip_prefix(label).filter(|rest| rest.starts_with(' ')).unwrap_or(line).trim())
        };
        let username = next("username").and_then(|name| name.parse().ok()).ok_or_else(bad)?;
        let password = next("password").filter(|password| !password.contains(' ')).ok_or_else(bad)?;
        Ok(Self { username, password: Secret::new(password.to_owned()) })
    }

    /// Refuses a token that is for another name, before anything is made for it.
    pub fn demand(&self, name: &Name) -> Result<(), Failure> {
        let username = self.username.as_str();
        if username == name.as_str() || self.username.begins(name) {
            return Ok(());
        }
        Err(Failure::new(Exit::Usage, "token-name", format!("the token is not for `{name}`"))
            .why(format!("it is for `{username}`, or for names that go on after that"))
            .fix(format!("touchmark token create --env ENV --device {name} --out FILE")))
    }

    /// From a file, or from stdin for `-`; never from an argument, which everybody on the machine can read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        if path != Path::new("-") {
            return Self::parse(Secret::new(home::read(path)?).expose());
        }
        let mut text = String::new();
        std::io::stdin()
            .take(TOKEN_OCTETS_MAX)
            .read_to_string(&mut text)
            .map_err(|error| Failure::internal("stdin cannot be read").why(error.to_string()))?;
        Self::parse(Secret::new(text).expose())
    }

    /// From the authority's answer.
    pub fn of(token: touchmark_api::Token) -> Self {
        Self { username: token.username, password: Secret::new(token.password) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_two_lines() {
        let read = TokenSecret::parse("pump-01\nabc\n").unwrap();
        assert_eq!((read.username.as_str(), read.password.expose().as_str()), ("pump-01", "abc"));
        let printed = "username  pump-\npassword  abc\nexpires   soon\n";
        let json = r#"{"token":"tok_01a204735f3a798e9098c35956ee9066","username":"pump-","password":"abc","expires":"2026-11-30T12:00:00Z","environment":"lab"}"#;
        for (name, text) in [("prefix", "pump-\nabc"), ("as printed", printed), ("as JSON", json)] {
            let read = TokenSecret::parse(text).unwrap();
            assert_eq!((read.username.as_str(), read.password.expose().as_str()), ("pump-", "abc"), "{name}");
            assert!(read.demand(&"pump-7".parse().unwrap()).is_ok(), "{name}");
            for other in ["pump", "valve-7"] {
                assert!(read.demand(&other.parse().unwrap()).is_err(), "{name}: {other}");
            }
        }
        for (name, text) in [
            ("empty", ""),
            ("no password", "pump-01\n"),
            ("no name", "\nabc"),
            ("bad", "a b\nc"),
            ("other JSON", "{}"),
            ("two words", "pump-01\na b"),
        ] {
            assert!(TokenSecret::parse(text).is_err(), "{name}");
        }
    }
}
