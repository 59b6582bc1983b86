//! QoS 1 publishes on their way to a broker: what each thing in the way costs per publish.

use super::{Bench, Lane, ratios};
use crate::fault::Outcome;
use crate::generate::{Job, PublishJob};
use crate::peers::{Peer, byte_proxy, haproxy_tcp, mosquitto, mosquitto_plain};
use crate::process::Process;

const CLIENTS: usize = 32;
/// Per client; nothing here is that fast.
const MOST: usize = 20_000;

/// All rows of the family.
pub(crate) fn run(bench: &mut Bench) {
    bench.table.section("QoS 1 publishes to a broker (CPU per publish of what stands in front)");
    let measured = if bench.extent.peers { beside_others(bench) } else { alone(bench) };
    if let Err(fault) = measured {
        bench.table.fail("publish-proxy", &fault);
    }
}

const OURS: &str = "Touchmark gateway: topic decided, entry written";

fn alone(bench: &mut Bench) -> Outcome<()> {
    let broker = mosquitto_plain(&bench.files)?;
    let gateway = bench.product.gateway("gateway-mq", &["--upstream-mqtt", &broker.address])?;
    let mut ours = Lane::default();
    for round in 0..=bench.extent.rounds {
        let job = job(bench, &gateway.mqtt, &broker.address, bench.extent.seconds);
        ours.take(round, bench.our_window("publish", round, &job, &gateway.process));
    }
    ours.tell(&mut bench.table, OURS, "");
    ours.fault.map_or(Ok(()), Err)
}

fn beside_others(bench: &mut Bench) -> Outcome<()> {
    let broker = mosquitto_plain(&bench.files)?;
    let gateway = bench.product.gateway("gateway-mq", &["--upstream-mqtt", &broker.address])?;
    let proxy = byte_proxy(&bench.files, &broker.address)?;
    let haproxy = haproxy_tcp(&bench.files, &broker.address);
    let (direct, direct_plain) = mosquitto(&bench.files)?;
    let [mut ours, mut bytes, mut other, mut alone] =
        [Lane::default(), Lane::default(), Lane::default(), Lane::default()];
    other.fault = haproxy.as_ref().err().map(|fault| fault.to_string().into());
    for round in 0..=bench.extent.rounds {
        bench.calibrator.round();
        let seconds = if round == 0 { 1.0 } else { bench.extent.seconds * 0.8 };
        let run = |address: &str, process: &Process, subscriber: &str| {
            bench.window(&self::job(bench, address, subscriber, seconds), &|| process.cpu_us())
        };
        let job = job(bench, &gateway.mqtt, &broker.address, seconds);
        ours.take(round, bench.our_window("publish", round, &job, &gateway.process));
        bytes.take(round, run(&proxy.address, &proxy.process, &broker.address));
        if let (true, Ok(Peer { address, process, .. })) = (other.runs(), &haproxy) {
            other.take(round, run(address, process, &broker.address));
        }
        alone.take(round, run(&direct.address, &direct.process, &direct_plain));
    }
    let table = &mut bench.table;
    let note = format!("{CLIENTS} clients, one in flight each, 100 octets, one subscriber");
    ours.tell(table, OURS, &note);
    bytes.tell(table, "Rust byte proxy", "tokio-rustls, decides nothing");
    other.tell(table, "haproxy", &haproxy.map_or(String::new(), |peer| peer.version));
    alone.tell(table, "mosquitto with TLS, nothing in front: the broker's own", &direct.version);
    if let Some(fault) = ours.fault.take().or(bytes.fault.take()) {
        return Err(fault);
    }
    table.judge("publish-proxy", &ratios(&ours.us, &bytes.us), "");
    if other.runs() {
        table.judge("publish-haproxy", &ratios(&ours.us, &other.us), "");
    }
    Ok(())
}

fn job(bench: &Bench, address: &str, subscriber: &str, seconds: f64) -> Job {
    Job::Publish(PublishJob {
        target: bench.target(address),
        identities: bench.stock.clone(),
        clients: CLIENTS,
        acknowledged: true,
        subscriber: Some(subscriber.to_owned()),
        seconds,
        most: MOST,
    })
}
