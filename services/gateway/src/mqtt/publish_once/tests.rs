//! One message and a broker that asks for its release.

use super::*;
use crate::lab::Lab;
use crate::mqtt::tests::client::{Client, V5, id, message};
use crate::mqtt::wire::{PACKET_OCTETS_MAX, Stream};
use touchmark_mqtt::QoS;
use touchmark_policy::Subject;
use touchmark_policy_cedar::{CompiledPolicy, PolicyBundle};

/// A broker hands a QoS 2 message out at its release, so its right is asked for then.
#[tokio::test]
async fn a_message_that_lost_its_right_is_not_released() {
    let subject = Subject::from_scope("lab".parse().unwrap(), "pump-01".parse().unwrap(), &[]).unwrap();
    let table = CompiledPolicy::compile(&PolicyBundle::starter()).unwrap().specialise(&subject);
    let octets = encoded(V5, &message("plant/pump-01/gone", QoS::ExactlyOnce, 9, "gone").into());
    let permitted = || {
        let frame = Frame::from_octets(octets.clone()).unwrap();
        Permitted::will(frame, V5, &table).unwrap().0
    };
    for released in [true, false] {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (read, write) = tokio::io::split(Box::new(ours) as Stream);
        let (mut inbound, mut outbound) = (Inbound::new(read, PACKET_OCTETS_MAX), Outbound::new(write));
        let broker = async move {
            let mut broker = Client::over(Box::new(theirs), V5);
            let answer = |reason| Acknowledgement::new(id(9), reason);
            assert_eq!(broker.message().await.1, "gone");
            broker.send(Packet::Pubrec(answer(ReasonCode::Success))).await;
            let release = broker.next().await;
            if let Some(release) = &release {
                let expected = encoded(V5, &Packet::Pubrel(answer(ReasonCode::Success)));
                assert_eq!(release.octets(), &expected);
                broker.send(Packet::Pubcomp(answer(ReasonCode::Success))).await;
            }
            release.is_some()
        };
        let release = || permitted().into_release(V5).filter(|_| released);
        let device = async move {
            let delivered = deliver(&mut inbound, &mut outbound, V5, permitted(), release).await;
            // The broker sees the end.
            let _ = outbound.shutdown().await;
            delivered.is_ok()
        };
        assert_eq!(tokio::join!(device, broker), (released, released));
    }
}

/// Only the sender of a QoS 2 message has something to release.
#[test]
fn a_release_is_made_of_a_permitted_message_only() {
    let lab = Lab::new();
    let trust = lab.trust(touchmark_status::StalenessClass::Standard);
    let identity = trust.identity_of(lab.device("pump-01").certificate.der(), lab.now()).unwrap();
    let table = trust.admit(&identity, lab.now()).unwrap().specialise();
    for (qos, expected) in [(QoS::AtMostOnce, false), (QoS::AtLeastOnce, false), (QoS::ExactlyOnce, true)] {
        let packet = message("plant/pump-01/gone", qos, u16::from(qos != QoS::AtMostOnce), "gone");
        let frame = Frame::from_octets(encoded(V5, &packet.into())).unwrap();
        let (will, _) = Permitted::will(frame, V5, &table).unwrap();
        assert_eq!(will.into_release(V5).is_some(), expected, "{qos:?}");
    }
}
