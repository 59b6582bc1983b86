//! What an idle session keeps. Sessions are counted in thousands: what one keeps is paid for by each of them.

use crate::mqtt::MqttPort;
use crate::mqtt::relay::{BrokerFar, Talk};
use crate::mqtt::wire::{Inbound, Incoming};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use tokio::io::AsyncWriteExt;

/// State of a session's task: a session, its ends, and what reading the next packet takes. It was 4,784 octets while what
/// is rare lay in it as well: box that before this is raised.
const SESSION_OCTETS_MAX: usize = 1_408;
/// Where there is a broker, in boxes of their own: relaying both ways, and the connection to it.
const RELAY_OCTETS_MAX: usize = 1_664;
const BROKER_OCTETS_MAX: usize = 256;

#[test]
fn a_session_keeps_no_more_than_reading_its_next_packet_takes() {
    fn of_session<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }
    fn of_relay<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }
    let sizes = [of_session(MqttPort::serve), of_relay(Talk::between), size_of::<BrokerFar>()];
    let most = [SESSION_OCTETS_MAX, RELAY_OCTETS_MAX, BROKER_OCTETS_MAX];
    assert!(sizes.iter().zip(most).all(|(size, most)| *size <= most), "{sizes:?} of {most:?}");
}

#[tokio::test]
async fn whoever_waits_for_a_packet_holds_no_buffer() {
    let (mut there, here) = tokio::io::duplex(1 << 20);
    let (read, _write) = tokio::io::split(Box::new(here) as crate::mqtt::wire::Stream);
    let mut inbound = Inbound::new(read, 1 << 20);
    // A publish that needs several reads, two packets in one read, and one that comes octet by octet.
    let large = [&[0x30, 0xa0, 0x8d, 0x06, 0, 1, b'a'][..], &vec![b'x'; 100_000 - 3]].concat();
    for octets in [large, vec![0xc0, 0, 0xc0, 0], vec![0xc0, 0]] {
        for part in octets.chunks(if octets.len() == 2 { 1 } else { octets.len() }) {
            there.write_all(part).await.unwrap();
        }
        let mut left = octets.len();
        while left > 0 {
            let Incoming::Frame(frame) = inbound.next(None).await else { panic!("no packet") };
            left -= frame.octets().len();
        }
        let waiting = pin!(inbound.next(None)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(waiting, Poll::Pending));
        assert_eq!(inbound.held(), 0, "after {} octets", octets.len());
    }
}
