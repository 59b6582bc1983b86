//! Why a device was refused: stable words and numbers, and what the person who can act does next.
//!
//! Numbers are stored in decision logs for years: one is never changed or used again, new ones are added at the end.

use core::fmt;
use core::str::FromStr;

macro_rules! deny_reasons {
    ($($number:literal $variant:ident $code:literal $doc:literal => $next:literal,)*) => {
        /// A stable reason for a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DenyReason {
            $(#[doc = $doc] $variant,)*
        }

        impl DenyReason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in logs, answers and documents.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The number in the decision log.
            pub fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* }
            }

            /// Reads [`DenyReason::number`] back.
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// What happened, in a few words.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc.trim_ascii(),)* }
            }

            /// What the person who can act does next.
            pub fn next_step(self) -> &'static str {
                match self { $(Self::$variant => $next,)* }
            }
        }
    };
}

deny_reasons! {
    1 Revoked "revoked" "The certificate was revoked."
        => "If the revocation was right, replace the device's identity with a new token; `touchmark explain` says who revoked it and why.",
    2 Superseded "superseded" "A newer certificate of this device took over, and the overlap is past."
        => "Make the device use its newest certificate. If it did, somebody holds a copy of the old key: revoke the device.",
    3 Quarantined "quarantined" "The device is quarantined."
        => "Find out why it was quarantined, then lift the quarantine or revoke the device.",
    4 Banned "banned" "The device is banned for good."
        => "Nothing on the device helps. An administrator who disagrees reads the ban's reason in the audit trail.",
    5 Expired "expired" "The certificate's validity is past."
        => "Let the device renew within its grace, or enrol it again with a new token; check that its clock is right.",
    6 NotYetValid "not-yet-valid" "The certificate's validity has not begun."
        => "Set the clock of the device and of this gateway.",
    7 UnknownIssuer "unknown-issuer" "No trusted authority issued the certificate."
        => "Enrol the device here, or add its issuer's certificate to the environment's trust anchors.",
    8 BadPath "bad-path" "The certificates presented do not form a valid path."
        => "Install the whole chain on the device as it was issued; if it is whole, treat the certificate as forged.",
    9 WrongEnvironment "wrong-environment" "The identity belongs to another environment."
        => "Point the device at the gateway of its own environment, or enrol it in this one.",
    10 InitialIdentity "initial-identity" "The factory identity is good for enrolling only."
        => "Let the device enrol and use the operational certificate it is given.",
    11 NotADevice "not-a-device" "The identity names a service or an operator, not a device."
        => "Use a device certificate on device ports; services and operators use the management port.",
    12 NoCertificate "no-certificate" "No certificate was presented."
        => "Configure the device with its certificate and private key.",
    13 BadPossession "bad-possession" "The holder did not prove that it has the private key."
        => "Check that certificate and key on the device belong together; if they do, somebody copied the certificate.",
    14 KeyDenied "key-denied" "This public key is on the list of keys that may not be used."
        => "Make the device generate a new key pair, then enrol it with a new token.",
    15 NoRule "no-rule" "No rule of the active policy permits it."
        => "If it should be allowed, add a permit rule or put the device in a group that has one, and activate the policy.",
    16 ForbiddenByRule "forbidden-by-rule" "A rule of the active policy forbids it."
        => "If it should be allowed, change the named rule and activate the policy.",
    17 ClientIdMismatch "client-id-mismatch" "The MQTT client id is neither the device's handle nor `handle/suffix`."
        => "Set the client id to the device's handle, or leave it empty.",
    18 WillNotPermitted "will-not-permitted" "The device may not publish on the topic of its will."
        => "Move the will to a topic that the device may publish on, or permit its topic.",
    19 ReservedTopic "reserved-topic" "Topics that start with `$` belong to the broker."
        => "Use another topic; a permit rule must name the `$` level word for word to open one.",
    20 TopicInvalid "topic-invalid" "The topic name is not acceptable."
        => "Correct the topic in the device: UTF-8, no wildcard or control character, no empty, `.` or `..` level, at most 1024 octets and 32 levels.",
    21 FilterInvalid "filter-invalid" "The topic filter is not acceptable."
        => "Correct the filter in the device: `+` fills a level, `#` the last one, no level is empty, at most 1024 octets and 32 levels.",
    22 MalformedPacket "malformed-packet" "The packet breaks the protocol."
        => "Update the device's client library; if many packets break, look for something else that speaks on this port.",
    23 PacketTooLarge "packet-too-large" "The packet is larger than this gateway takes."
        => "Send smaller messages, or raise the gateway's packet limit.",
    24 Plaintext "plaintext" "The connection is not protected by TLS."
        => "Configure the device for TLS on this port.",
    25 StatusStale "status-stale" "The last word on revocations is too old to decide on."
        => "Restore the gateway's connection to the authority, or load a newer feed file.",
    26 StatusMissing "status-missing" "The gateway has never had word on revocations."
        => "Connect the gateway to its authority, or load a feed file.",
    27 PolicyMissing "policy-missing" "No policy is active at this gateway."
        => "Activate a policy in the environment and check that the gateway receives the feed.",
    28 ProtocolUnsupported "protocol-unsupported" "The protocol or its version is not spoken here."
        => "Use MQTT 3.1.1 or 5.0, or HTTP, as the port's description says.",
    29 LogUnavailable "log-unavailable" "The decision could not be recorded, so nothing was allowed."
        => "Free space for, or repair, the gateway's decision log.",
    30 SessionTakenOver "session-taken-over" "A newer session with the same client id took over."
        => "Give each connection of the device its own `handle/suffix` client id; if there is only one device, its key was copied.",
    31 HandshakeFailed "handshake-failed" "The TLS handshake did not finish."
        => "Compare the TLS versions and algorithms of device and gateway, and the trust anchors on the device.",
    32 TooManySessions "too-many-sessions" "The device or the gateway holds as many sessions as it may."
        => "Close sessions that are not needed, or raise the limit.",
    33 PolicyChanged "policy-changed" "A newer policy no longer permits what the session was doing."
        => "If it should be allowed, change the policy and activate it; the device may connect again at once.",
    34 PathInvalid "path-invalid" "The HTTP path names nothing that can be decided."
        => "Use `POST /publish/TOPIC` or `GET /updates/MODEL/FILE` with plain names.",
    35 ReleaseUnknown "release-unknown" "A QoS 2 message was released whose topic this gateway does not know."
        => "Publish the message again: what the broker held of it was ended with its session.",
    36 ResponseTopicNotPermitted "response-topic-not-permitted" "The device may not subscribe to the response topic that it names."
        => "Name a response topic that the device may subscribe to, or permit it.",
    37 TooManyClientIds "too-many-client-ids" "The device, or all devices, left as many sessions at the broker as they may."
        => "Use few client ids, and a clean start or a session expiry of 0 where nothing has to be kept.",
    38 TooManySubscriptions "too-many-subscriptions" "The session holds as many subscriptions as it may."
        => "Subscribe with a wildcard in place of many single topics, and unsubscribe from what is not needed.",
    39 BrokerSessionKept "broker-session-kept" "The session of a device that may not connect could not be ended at the broker yet."
        => "Restore the gateway's connection to the broker, or delete the client's session there; the gateway's messages name the client id.",
    40 Rate "rate" "The device sends or connects more often than it may."
        => "Send fewer messages, or several readings in one; keep connections open. If it should be allowed, raise the gateway's `--publish-rate`.",
}

/// A word that is no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown reason code")]
pub struct UnknownDenyReason;

impl FromStr for DenyReason {
    type Err = UnknownDenyReason;
    fn from_str(code: &str) -> Result<Self, UnknownDenyReason> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code).ok_or(UnknownDenyReason)
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn numbers_and_codes_stay_as_they_were_first_logged() {
        let mut table = String::new();
        for reason in DenyReason::ALL {
            writeln!(table, "{} {}", reason.number(), reason.code()).unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/deny-reasons.txt");
        if std::env::var_os("TOUCHMARK_BLESS").is_some() {
            std::fs::write(path, &table).unwrap();
        }
        assert_eq!(table, std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn every_reason_reads_back_and_tells_somebody_what_to_do() {
        for reason in DenyReason::ALL {
            assert_eq!(DenyReason::from_number(reason.number()), Some(*reason));
            assert_eq!(reason.code().parse(), Ok(*reason));
            assert!(reason.code().bytes().all(|c| c.is_ascii_lowercase() || c == b'-'), "{reason}");
            assert!(reason.meaning().ends_with('.') && reason.next_step().ends_with('.'), "{reason}");
        }
        assert_eq!((DenyReason::from_number(0), DenyReason::from_number(999)), (None, None));
        assert_eq!("Revoked".parse::<DenyReason>(), Err(UnknownDenyReason));
    }
}
