//! Lints of the serial number and of time.

use super::{Expectation, broken};
use crate::certificate::{Certificate, DateForm};

/// First second of 2050, from which dates are GeneralizedTime (RFC 5280 §4.1.2.5).
const YEAR_2050_S: u64 = 2_524_608_000;

/// At least 64 random bits need 9 octets; RFC 5280 §4.1.2.2 allows 20, and positive numbers only.
pub(super) fn serial_octets(certificate: &Certificate, _: &Expectation<'_>) -> Option<String> {
    let serial = certificate.serial();
    if !serial.is_positive() {
        return Some(format!("the serial number {serial} is not positive"));
    }
    let octets = serial.der_content().len();
    broken(!(9..=20).contains(&octets), || format!("the serial number has {octets} octets, expected 9 to 20"))
}

pub(super) fn date_form(certificate: &Certificate, _: &Expectation<'_>) -> Option<String> {
    let validity = certificate.validity();
    let moments = [validity.not_before(), validity.not_after()];
    let wrong = moments.into_iter().zip(certificate.date_forms()).find(|(moment, form)| {
        let expected = if moment.unix_s() < YEAR_2050_S { DateForm::Utc } else { DateForm::Generalized };
        *form != expected
    });
    wrong.map(|(moment, form)| format!("{moment} is written as {form:?} time"))
}

pub(super) fn valid_now(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    broken(!certificate.validity().contains(expected.now), || {
        format!("the validity does not contain the moment of issuance, {}", expected.now)
    })
}

pub(super) fn lifetime(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    let lifetime = certificate.validity().lifetime();
    broken(lifetime > expected.lifetime_max, || {
        format!("the lifetime is {} s, at most {} s", lifetime.as_secs(), expected.lifetime_max.as_secs())
    })
}

pub(super) fn within_issuer(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    let (own, issuers) = (certificate.validity(), expected.issuer.validity());
    let outside = own.not_before() < issuers.not_before() || own.not_after() > issuers.not_after();
    broken(outside, || {
        format!("the validity leaves the issuer's, {} to {}", issuers.not_before(), issuers.not_after())
    })
}
