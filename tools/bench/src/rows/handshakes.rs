//! The gateway's door beside others': full mutual TLS 1.3 handshake and one exchange. Ours decides and writes it down.

use super::{Bench, Lane, ratios};
use crate::fault::Outcome;
use crate::generate::{After, Groups, HandshakeJob, Job, Target};
use crate::peers::{Peer, envoy, haproxy, mosquitto, nginx};
use crate::product::Gateway;

const AT_ONCE: usize = 32;
/// Handshakes of one window that nothing here exceeds.
const MOST: usize = 40_000;
/// Identities that a gateway has seen before, in a window that rotates through them.
const KNOWN: usize = 1_000;

/// All rows of the family.
pub(crate) fn run(bench: &mut Bench) {
    bench.table.section("full handshake and first exchange (server CPU)");
    beside_others(bench);
    with_a_revoked_set(bench);
}

fn beside_others(bench: &mut Bench) {
    let files = bench.files.clone();
    let mqtt = |peer: Outcome<(Peer, String)>| peer.map(|(peer, _)| peer);
    let peers: Vec<(&str, After, Outcome<Peer>)> = match bench.extent.peers {
        true => vec![
            ("nginx", After::Http, nginx(&files)),
            ("Envoy", After::Http, envoy(&files)),
            ("haproxy", After::Http, haproxy(&files)),
            ("mosquitto, CONNECT", After::Mqtt, mqtt(mosquitto(&files))),
        ],
        false => Vec::new(),
    };
    let (mut known, mut new, mut hybrid) = (Lane::default(), Lane::default(), Lane::default());
    let mut lanes: Vec<Lane> = Vec::new();
    for (_, _, peer) in &peers {
        let fault = peer.as_ref().err().map(|fault| fault.to_string().into());
        lanes.push(Lane { fault, ..Lane::default() });
    }
    for round in 0..=bench.extent.rounds {
        bench.calibrator.round();
        let target = bench.target(&bench.gateway.mqtt);
        let seconds = seconds(bench, round);
        known.take(
            round,
            at_our_door(bench, &bench.gateway, "handshake-known", target.clone(), Whom::Known, round),
        );
        new.take(
            round,
            at_our_door(bench, &bench.gateway, "handshake-new", target.clone(), Whom::New(round), round),
        );
        for ((_, after, peer), lane) in peers.iter().zip(&mut lanes) {
            if let (true, Ok(peer)) = (lane.runs(), peer) {
                let job = job(bench, bench.target(&peer.address), *after, Whom::Known, seconds);
                lane.take(round, bench.window(&job, &|| peer.process.cpu_us()));
            }
        }
        let target = Target { groups: Groups::Hybrid, ..target };
        hybrid
            .take(round, at_our_door(bench, &bench.gateway, "handshake-hybrid", target, Whom::Known, round));
    }
    let table = &mut bench.table;
    known.tell(table, "Touchmark gateway, CONNECT, decision, log entry: devices it knows", "X25519");
    new.tell(table, "the same: devices that it never saw", "each certificate once");
    hybrid.tell(table, "the same: devices it knows, X25519MLKEM768", "");
    for ((name, _, peer), lane) in peers.iter().zip(&lanes) {
        let version = peer.as_ref().map_or(String::new(), |peer| peer.version.clone());
        lane.tell(table, name, &version);
    }
    if let Some(fault) = known.fault.as_ref().or(new.fault.as_ref()) {
        return table.fail("handshake-nginx", fault);
    }
    let half: Vec<f64> = known.us.iter().zip(&new.us).map(|(known, new)| (known + new) / 2.0).collect();
    for (id, lane) in [("handshake-nginx", lanes.first()), ("handshake-envoy", lanes.get(1))] {
        if let Some(lane) = lane.filter(|lane| lane.runs()) {
            table.judge(id, &ratios(&half, &lane.us), "half of the devices known, half new");
        }
    }
}

/// The same door, with a feed that has so many revoked certificates in it.
fn with_a_revoked_set(bench: &mut Bench) {
    let sizes: Vec<u32> = core::iter::once(0).chain(bench.extent.revoked.iter().copied()).collect();
    let mut lanes: Vec<(u32, Outcome<Gateway>, Lane)> = Vec::new();
    for size in sizes {
        let gateway = bench.gateway_with_revoked(size);
        let fault = gateway.as_ref().err().map(|fault| fault.to_string().into());
        lanes.push((size, gateway, Lane { fault, ..Lane::default() }));
    }
    for round in 0..=bench.extent.rounds {
        for (size, gateway, lane) in &mut lanes {
            if let (true, Ok(gateway)) = (lane.runs(), &*gateway) {
                let target = bench.target(&gateway.mqtt);
                lane.take(
                    round,
                    at_our_door(
                        bench,
                        gateway,
                        &format!("handshake-{size}-revoked"),
                        target,
                        Whom::Known,
                        round,
                    ),
                );
            }
        }
    }
    let table = &mut bench.table;
    for (size, gateway, lane) in &lanes {
        let memory = gateway.as_ref().map_or(0, |gateway| gateway.process.pss_kib() / 1024);
        let note = format!("PSS {memory} MB; feed signed by the benchmark");
        lane.tell(table, &format!("gateway, {size} revoked in its feed"), &note);
    }
    if let Some((_, _, Lane { fault: Some(fault), .. })) = lanes.iter().find(|(_, _, lane)| !lane.runs()) {
        return table.fail("handshake-revoked", fault);
    }
    if let [(_, _, none), .., (size, _, most)] = &lanes[..] {
        table.judge("handshake-revoked", &ratios(&most.us, &none.us), format!("{size} against none"));
    }
}

fn seconds(bench: &Bench, round: usize) -> f64 {
    if round == 0 { 1.0 } else { bench.extent.seconds * 0.8 }
}

fn at_our_door(
    bench: &Bench,
    gateway: &Gateway,
    name: &str,
    target: Target,
    whom: Whom,
    round: usize,
) -> Outcome<super::Window> {
    let job = job(bench, target, After::Mqtt, whom, seconds(bench, round));
    bench.our_window(name, round, &job, &gateway.process)
}

/// Which devices of the stock connect.
#[derive(Clone, Copy, Debug)]
enum Whom {
    /// The same in every round, again and again.
    Known,
    /// Others in each round, once each.
    New(usize),
}

fn job(bench: &Bench, target: Target, after: After, whom: Whom, seconds: f64) -> Job {
    let known = KNOWN.min(bench.extent.stock / 2);
    let new = (bench.extent.stock - known) / (bench.extent.rounds + 1);
    let (skip, number, most) = match whom {
        Whom::Known => (0, known, MOST),
        Whom::New(round) => (known + round * new, new, new),
    };
    let identities = (bench.stock.clone(), skip, number);
    Job::Handshake(HandshakeJob { target, after, identities, at_once: AT_ONCE, seconds, most })
}
