//! The JSON of the management API, both ways: what is read is written so that it reads back equal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use touchmark_api as api;

fuzz_target!(|data: &[u8]| {
    // Orders and queries, which the authority reads.
    reads_back::<api::TokenOrder>(data);
    reads_back::<api::MakerOrder>(data);
    reads_back::<api::MakerWithdrawal>(data);
    reads_back::<api::HardwareOrder>(data);
    reads_back::<api::EnvironmentOrder>(data);
    reads_back::<api::PolicyDocument>(data);
    reads_back::<api::Containment>(data);
    reads_back::<api::FramesUpload>(data);
    reads_back::<api::FeedAcknowledgement>(data);
    reads_back::<api::GatewayRegistration>(data);
    reads_back::<api::DeviceQuery>(data);
    reads_back::<api::DecisionQuery>(data);
    reads_back::<api::FeedQuery>(data);
    // Answers, which the command line and the gateway read.
    reads_back::<api::Problem>(data);
    reads_back::<api::ListIn>(data);
    reads_back::<api::Page<api::Device>>(data);
    reads_back::<api::Certificate>(data);
    reads_back::<api::ContainmentOutcome>(data);
    reads_back::<api::Decision>(data);
    reads_back::<api::Environment>(data);
    reads_back::<api::Explanation>(data);
    reads_back::<api::FramesAccepted>(data);
    reads_back::<api::LogHead>(data);
    reads_back::<api::Policy>(data);
    reads_back::<api::Ready>(data);
    reads_back::<api::StatusReport>(data);
    reads_back::<api::Token>(data);
    reads_back::<api::Maker>(data);
});

fn reads_back<T: DeserializeOwned + Serialize + PartialEq>(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(data) else { return };
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert!(again == value, "{} changes on the way", core::any::type_name::<T>());
    assert_eq!(serde_json::to_vec(&again).ok(), Some(written), "one spelling");
}
