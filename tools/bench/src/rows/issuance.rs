//! Certificates over EST, durable and journaled and in the inventory, beside cfssl: connections kept, and fresh ones.

use super::{Bench, Lane, NO_PEERS, ratios};
use crate::fault::{Fault, Outcome};
use crate::generate::{EnrolJob, Job, Way};
use crate::peers::{Cfssl, Postgres, cfssl};
use std::path::PathBuf;

const CONNECTIONS: usize = 64;
/// A fresh connection costs the client as much as the server: more at once would only wait.
const FRESH_AT_ONCE: usize = 16;
/// Certificates per second that nothing here exceeds: requests prepared for one window.
const RATE_MAX: f64 = 6_500.0;
const FRESH_RATE_MAX: f64 = 2_500.0;

/// All rows of the family.
pub(crate) fn run(bench: &mut Bench) {
    bench.table.section("issuance (server CPU per certificate)");
    let enrolled = bench.product.path("enrolled");
    let (mut memory, mut database) = peers(bench);
    let kept = keep_alive(bench, &enrolled, &mut memory, &mut database);
    let fresh = fresh(bench, &enrolled, &memory);
    if kept.is_ok()
        && let Err(fault) = super::renewing::run(bench, &enrolled)
    {
        bench.table.fail("est-keep-alive", &fault);
    }
    if let (Ok(database), Ok(rows)) = (&database, &kept) {
        let recorded = database.postgres.as_ref().map_or(Ok(0), Postgres::certificates);
        match recorded {
            Ok(recorded) if recorded == *rows => {}
            other => bench.table.skip("cfssl's database", &format!("{other:?} rows of {rows}").into()),
        }
    }
    match (kept, fresh) {
        (Ok(_), Ok(())) => {}
        (Err(fault), _) => return bench.table.fail("est-keep-alive", &fault),
        (_, Err(fault)) => return bench.table.fail("est-fresh", &fault),
    }
    if let Err(fault) = bench.every_certificate_is_kept(&enrolled) {
        bench.table.fail("est-keep-alive", &fault);
    }
}

fn peers(bench: &Bench) -> (Outcome<Cfssl>, Outcome<Cfssl>) {
    if !bench.extent.peers {
        return (Err(NO_PEERS.into()), Err(NO_PEERS.into()));
    }
    let database = Postgres::start().and_then(|postgres| cfssl(&bench.files, Some(postgres)));
    (cfssl(&bench.files, None), database)
}

/// Gives the number of certificates that cfssl says it put into its database.
fn keep_alive(
    bench: &mut Bench,
    enrolled: &std::path::Path,
    memory: &mut Outcome<Cfssl>,
    database: &mut Outcome<Cfssl>,
) -> Outcome<u64> {
    let (mut ours, mut lanes) = (Lane::default(), [Lane::default(), Lane::default()]);
    for (lane, peer) in lanes.iter_mut().zip([&*memory, &*database]) {
        lane.fault = peer.as_ref().err().map(|fault| Fault::from(fault.to_string()));
    }
    let (mut crypto, mut heads) = (Vec::new(), Ok(Vec::new()));
    let seconds = bench.extent.seconds;
    let most = (seconds * RATE_MAX) as usize;
    for round in 0..=bench.extent.rounds {
        let seconds = if round == 0 { 1.0 } else { seconds };
        let calibration = bench.calibrator.round();
        let job = bench.enrol(Some(enrolled.to_owned()), most, seconds)?;
        let job = EnrolJob { connections: CONNECTIONS, identities: Some((bench.stock.clone(), 0)), ..job };
        let heads_seen = bench.watch_heads()?;
        let window = bench.our_window("enrol", round, &Job::Enrol(job), bench.product.authority()?)?;
        bench.devices += window.tally.completed;
        ours.take(round, Ok(window));
        match (heads_seen.end(), &mut heads) {
            (Ok(longest), Ok(heads)) if round > 0 => heads.push(longest),
            (Err(fault), Ok(_)) => heads = Err(fault),
            _ => {}
        }
        if round > 0 {
            crypto.push(calibration.issuance());
        }
        for (lane, peer) in lanes.iter_mut().zip([&*memory, &*database]) {
            if let (true, Ok(cfssl)) = (lane.runs(), peer) {
                let job = Job::Enrol(cfssl_job(bench, cfssl, CONNECTIONS, false, seconds, most));
                lane.take(round, bench.window(&job, &|| cfssl.cpu_us()));
            }
        }
    }
    let note = format!("{CONNECTIONS} connections, a new key each");
    ours.tell(&mut bench.table, "Touchmark, keep-alive, durable", &note);
    lanes[0].tell(&mut bench.table, "cfssl in memory, keep-alive", &version(memory));
    lanes[1].tell(&mut bench.table, "cfssl + PostgreSQL, keep-alive, both processes", &version(database));
    let note = "a first certificate, on a token's word";
    bench.table.tell("the same / (sign + verify)", "x", &ratios(&ours.us, &crypto), note);
    if lanes[1].runs() {
        bench.table.judge("est-cfssl-postgres", &ratios(&ours.us, &lanes[1].us), "first certificates");
    }
    let note =
        "the longest wait of any entry in each storm, by the authority's own status, looked at each 0.1 s";
    match heads {
        Ok(heads) => bench.table.judge("journal-head", &heads, note),
        Err(fault) => bench.table.fail("journal-head", &fault),
    }
    Ok(lanes[1].completed)
}

fn fresh(bench: &mut Bench, enrolled: &std::path::Path, memory: &Outcome<Cfssl>) -> Outcome<()> {
    let (mut ours, mut theirs) = (Lane::default(), Lane::default());
    theirs.fault = memory.as_ref().err().map(|fault| Fault::from(fault.to_string()));
    let mut crypto = Vec::new();
    let seconds = bench.extent.seconds;
    let most = (seconds * FRESH_RATE_MAX) as usize;
    for round in 0..=bench.extent.rounds {
        let seconds = if round == 0 { 0.5 } else { seconds };
        let calibration = bench.calibrator.round();
        let job = bench.enrol(Some(enrolled.to_owned()), most, seconds)?;
        let identities = Some((bench.stock.clone(), 0));
        let job =
            EnrolJob { connections: FRESH_AT_ONCE, at_once: FRESH_AT_ONCE, fresh: true, identities, ..job };
        let window = bench.our_window("enrol-fresh", round, &Job::Enrol(job), bench.product.authority()?)?;
        bench.devices += window.tally.completed;
        ours.take(round, Ok(window));
        if round > 0 {
            crypto.push(calibration.issuance_and_handshake());
        }
        if let (true, Ok(cfssl)) = (theirs.runs(), memory) {
            let job = Job::Enrol(cfssl_job(bench, cfssl, FRESH_AT_ONCE, true, seconds, most));
            theirs.take(round, bench.window(&job, &|| cfssl.cpu_us()));
        }
    }
    ours.tell(
        &mut bench.table,
        "Touchmark, fresh connection each, durable",
        &format!("{FRESH_AT_ONCE} at once"),
    );
    theirs.tell(&mut bench.table, "cfssl in memory, fresh connection each", "");
    let note = "TLS 1.3, both ways, handshake and both chains included";
    bench.table.tell("one enrolment on the wire, fresh connection", "B", &ours.octets, note);
    let note = "crypto: 2 sign + 3 verify + X25519, and 15 us of the kernel";
    bench.table.judge("est-fresh", &ratios(&ours.us, &crypto), note);
    Ok(())
}

fn cfssl_job(
    bench: &Bench,
    cfssl: &Cfssl,
    connections: usize,
    fresh: bool,
    seconds: f64,
    most: usize,
) -> EnrolJob {
    EnrolJob {
        target: bench.target(&cfssl.peer.address),
        way: Way::Cfssl,
        identities: Some((bench.stock.clone(), 0)),
        connections,
        at_once: connections,
        fresh,
        seconds,
        most,
        out: None::<PathBuf>,
    }
}

fn version(peer: &Outcome<Cfssl>) -> String {
    let Ok(cfssl) = peer else { return String::new() };
    let postgres =
        cfssl.postgres.as_ref().map_or(String::new(), |one| format!(", PostgreSQL {}", one.version));
    format!("cfssl {}{postgres}, mutual TLS", cfssl.peer.version)
}
