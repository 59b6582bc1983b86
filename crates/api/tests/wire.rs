//! The JSON of every type of the API, exactly: what stands in `golden/wire.txt` is read, and written again letter by letter.
//! A changed line is a changed interface.
#![allow(clippy::unwrap_used)]

use serde::Serialize;
use serde::de::DeserializeOwned;
use touchmark_api as api;

fn again<T: DeserializeOwned + Serialize>(json: &str) -> String {
    let value: T = serde_json::from_str(json).unwrap_or_else(|fault| panic!("{json}: {fault}"));
    serde_json::to_string(&value).unwrap()
}

macro_rules! types {
    ($($name:ident: $type:ty,)*) => {
        const TYPES: &[(&str, fn(&str) -> String)] = &[$((stringify!($name), again::<$type>)),*];
    };
}

types! {
    DeviceQuery: api::DeviceQuery,
    ListIn: api::ListIn,
    DecisionQuery: api::DecisionQuery,
    InEnvironment: api::InEnvironment,
    FeedQuery: api::FeedQuery,
    TokenOrder: api::TokenOrder,
    EnvironmentOrder: api::EnvironmentOrder,
    Containment: api::Containment,
    MakerOrder: api::MakerOrder,
    MakerWithdrawal: api::MakerWithdrawal,
    HardwareOrder: api::HardwareOrder,
    PolicyDocument: api::PolicyDocument,
    GatewayAbsence: api::GatewayAbsence,
    FeedAcknowledgement: api::FeedAcknowledgement,
    GatewayRegistration: api::GatewayRegistration,
    FramesUpload: api::FramesUpload,
    Problem: api::Problem,
    Page: api::Page<api::Device>,
    Device: api::Device,
    Renewals: api::Renewals,
    Certificate: api::Certificate,
    ContainmentOutcome: api::ContainmentOutcome,
    Environment: api::Environment,
    Explanation: api::Explanation,
    Decision: api::Decision,
    Gateway: api::Gateway,
    Maker: api::Maker,
    Policy: api::Policy,
    Token: api::Token,
    TokenInfo: api::TokenInfo,
    FramesAccepted: api::FramesAccepted,
    LogHead: api::LogHead,
    StatusReport: api::StatusReport,
    Ready: api::Ready,
}

#[test]
fn every_type_has_the_json_that_it_had() {
    let golden = include_str!("golden/wire.txt");
    let mut seen = std::collections::BTreeSet::new();
    for line in golden.lines() {
        let (name, json) = line.split_once(' ').unwrap();
        let (_, again) = TYPES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(again(json), json, "{name}");
        seen.insert(name);
    }
    let missing: Vec<_> = TYPES.iter().map(|(name, _)| *name).filter(|name| !seen.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// Orders and queries take nothing that they do not know, so that nothing is asked for in vain.
#[test]
fn no_request_holds_a_field_that_is_not_known() {
    let golden = include_str!("golden/wire.txt").lines().map(|line| line.split_once(' ').unwrap());
    let requests: Vec<_> = golden.take_while(|(name, _)| *name != "Problem").collect();
    assert!(requests.len() >= 16);
    for (name, json) in requests {
        let more = json.replacen('{', r#"{"colour":"red","#, 1).replace(",}", "}");
        let (_, again) = TYPES.iter().find(|(known, _)| *known == name).unwrap();
        let again = std::panic::catch_unwind(|| again(&more));
        assert!(again.is_err(), "{name}");
    }
}
