//! What a device has at the broker behind the gateway ends with its right to it: sessions, shares of the work, messages
//! that wait for their release. Seen by mosquitto's own clients.

use crate::installation::{Installation, run};
use crate::policy::activate;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use touchmark_mqtt::{Connect, ProtocolVersion, QoS, Text};
use touchmark_tests::{Mqtt, program, until};

const JOBS: &str = "cmd/pump-01/jobs";

/// The gateway's list of sessions at the broker, wherever it keeps its data.
fn kept(under: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(under).ok()?;
    entries.flatten().map(|entry| entry.path()).find_map(|path| match path.is_dir() {
        true => kept(&path),
        false => path.ends_with("broker-sessions").then_some(path),
    })
}

fn is_kept(installation: &Installation, client_id: &str) -> bool {
    let list = kept(&installation.lab.data())
        .and_then(|file| std::fs::read_to_string(file).ok())
        .unwrap_or_default();
    list.lines().any(|line| line.split(' ').next() == Some(client_id))
}

/// R45: a revoked device that left a shared subscription takes no job from the worker that is left, also when the
/// gateway was away in between.
#[test]
fn a_revoked_device_takes_no_job_of_another_worker() {
    let (Some(mut installation), Some(subscriber)) = (Installation::start(), program("mosquitto_sub")) else {
        return;
    };
    let share = format!("$share/w/{JOBS}");
    for (round, restarted) in [(1, false), (2, true)] {
        let device = installation.enrol("pump-01");
        let mut session = until("the new one to be welcome", || {
            let mut session =
                Mqtt::dial(&installation.lab, Some(device.identity()), ProtocolVersion::V5).unwrap();
            let mut hello = Connect::new(ProtocolVersion::V5, Text::new("pump-01").unwrap());
            hello.clean_start = false;
            hello.properties.session_expiry_interval = Some(3600);
            (session.greet(&hello).unwrap().code == 0).then_some(session)
        });
        assert_eq!(session.subscribe(&[&share]), Ok(vec![0x01]));
        drop(session);
        until("the gateway to have it in its list", || is_kept(&installation, "pump-01").then_some(()));
        if restarted {
            installation.lab.kill_gateway();
            installation.lab.restart_gateway();
        }
        installation.lab.operator().revoke("pump-01");
        until("its session at the broker to be ended", || (!is_kept(&installation, "pump-01")).then_some(()));

        let (host, port) = {
            let address = installation.broker.address();
            let (host, port) = address.rsplit_once(':').unwrap();
            (host.to_owned(), port.to_owned())
        };
        let (worker, ready) = (format!("worker-{round}"), format!("ready-{round}"));
        let mut command = subscriber.command();
        command.args(["-h", &host, "-p", &port, "-i", &worker, "-q", "1", "-t", &share, "-t", &ready]);
        let mut child = command.args(["-C", "21", "-W", "60"]).stdout(Stdio::piped()).spawn().unwrap();
        // It is there when the broker hands it what is retained for it.
        let publisher = program("mosquitto_pub").unwrap();
        let words: Vec<String> = ["-h", &host, "-p", &port].iter().map(|word| (*word).to_owned()).collect();
        run(&publisher, &words, &["-r", "-q", "1", "-t", &ready, "-m", "ready"]);
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        let jobs: Vec<String> = (0..20).map(|n| format!("job {round} {n}")).collect();
        jobs.iter().for_each(|job| installation.broker.publish(JOBS, job));
        let done: Vec<String> = lines.map_while(Result::ok).collect();
        child.wait().unwrap();
        assert_eq!(done, jobs, "restarted: {restarted}");
    }
}

/// R45: a policy that takes the right to connect from a device that is away ends its session at the broker, with the
/// queue; also when the gateway was away as the policy changed.
#[test]
fn a_removed_right_to_connect_ends_the_queue_of_a_device_that_is_away() {
    let Some(mut installation) = Installation::start() else { return };
    let mut operator = installation.lab.operator();
    let device = installation.enrol("pump-01");
    let back = |installation: &Installation| {
        let mut session =
            Mqtt::dial(&installation.lab, Some(device.identity()), ProtocolVersion::V311).unwrap();
        let mut hello = Connect::new(ProtocolVersion::V311, Text::new("pump-01").unwrap());
        hello.clean_start = false;
        let greeted = session.greet(&hello).unwrap();
        (greeted.code == 0).then_some((session, greeted.session_present))
    };
    for restarted in [false, true] {
        let (mut session, _) = until("it to be welcome", || back(&installation));
        assert_eq!(session.subscribe(&[JOBS]), Ok(vec![0x01]));
        drop(session);
        until("the gateway to have it in its list", || is_kept(&installation, "pump-01").then_some(()));
        installation.broker.publish(JOBS, "for the queue");
        if restarted {
            installation.lab.kill_gateway();
        }
        activate(
            &mut operator,
            "@id(\"shut\")\nforbid (principal, action == Action::\"connect\", resource);\n",
        );
        if restarted {
            installation.lab.restart_gateway();
        }
        until("its session at the broker to be ended", || (!is_kept(&installation, "pump-01")).then_some(()));
        activate(&mut operator, "");
        let (mut session, present) = until("it to be welcome again", || back(&installation));
        assert!(!present, "restarted: {restarted}");
        assert!(session.is_alive(), "the next packet is the answer to its ping");
    }
}

/// R36: a QoS 2 message whose right goes between its two halves is not released, and is recorded.
#[test]
fn a_message_is_not_released_after_its_right_is_gone() {
    let Some(installation) = Installation::start() else { return };
    let mut operator = installation.lab.operator();
    let device = installation.enrol("pump-01");
    let mut session = Mqtt::welcome(&installation.lab, device.identity(), "pump-01");
    let mut beside = Mqtt::welcome(&installation.lab, device.identity(), "pump-01/b");
    let topic = "plant/pump-01/x";
    assert_eq!(session.publish(topic, "released", QoS::ExactlyOnce), Ok(Some(0)));
    session.send_octets(b"\x62\x02\x00\x01").unwrap();
    installation.broker.sees(topic, "released");
    assert_eq!(session.packet().unwrap().unwrap().octets()[0], 0x70);

    assert_eq!(session.publish(topic, "held", QoS::ExactlyOnce), Ok(Some(0)));
    activate(&mut operator, "@id(\"still\")\nforbid (principal, action == Action::\"publish\", resource);\n");
    until("the policy to be in force", || {
        (beside.publish("plant/pump-01/y", "y", QoS::AtLeastOnce) == Ok(Some(0x87))).then_some(())
    });
    session.send_octets(b"\x62\x02\x00\x02").unwrap();
    let answer = session.packet().unwrap().unwrap();
    assert_eq!((answer.octets()[0], answer.body()[2]), (0x70, 0x92), "PUBCOMP, identifier not found");
    let (_, goodbye) = session.end();
    assert_eq!(goodbye.unwrap().body()[0], 0x87, "DISCONNECT, not authorised");
    let denied = operator.decided("pump-01", "publish", topic, "deny");
    assert_eq!((denied.reason.as_str(), denied.rule.as_deref()), ("forbidden-by-rule", Some("still")));
    // Nor when the right comes back.
    activate(&mut operator, "");
    until("the right to be back", || {
        (beside.publish("plant/pump-01/y", "back", QoS::AtLeastOnce) == Ok(Some(0))).then_some(())
    });
    installation.broker.sees("plant/pump-01/y", "back");
    assert!(installation.broker.seen_until_now().iter().all(|(_, payload)| payload != "held"));
}
