//! A full disk: what contains harm goes on, what may wait is refused with a reason, and everything comes back.
//! Needs root, for a small file system of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use touchmark_api::EnforcementState;
use touchmark_mqtt::{ProtocolVersion, QoS};
use touchmark_tests::{Device, Key, Lab, Mqtt, Service, device_token, until};
use touchmark_x509::Certificate;

/// A file system of so many MiB, gone at the end.
struct Disk(tempfile::TempDir);

impl Disk {
    fn of_mib(size: u32) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}m"), "tmpfs"])
            .arg(home.path())
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("no file system can be mounted here (root only): this test says nothing");
        }
        mounted.then_some(Self(home))
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Writes until nothing fits any more.
    fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        for step in [64 * 1024, 4096] {
            while file.write_all(&vec![1; step]).is_ok() {}
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn touchmark(data: &Path, words: &[&str]) -> Output {
    Command::new(Lab::program()).arg("--data").arg(data).args(words).output().unwrap()
}

fn says(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].concat().iter().map(|octet| char::from(*octet)).collect()
}

fn good(data: &Path, words: &[&str]) -> String {
    let output = touchmark(data, words);
    assert!(output.status.success(), "{words:?}: {}", says(&output));
    says(&output)
}

/// R60, R84: see the names of the steps.
#[test]
fn on_a_full_disk_containment_start_and_log_go_on_and_enrolment_comes_back() {
    for size in [8, 40] {
        let Some(disk) = Disk::of_mib(size) else { return };
        let data = disk.data();
        let words = tempfile::tempdir().unwrap();
        let start = |number: u32| {
            // On another disk: a file that is written anew there would be lost.
            let passphrase = words.path().join("passphrase");
            std::fs::write(&passphrase, "correct horse battery staple").unwrap();
            let mut command = Command::new(Lab::program());
            command
                .args(["server", "up", "--json", "--data"])
                .arg(&data)
                .arg("--passphrase-file")
                .arg(passphrase);
            Service::start(command, words.path().join(format!("stderr-{number}")))
        };
        let (mut authority, ready) = start(1);
        for name in ["pump-1", "pump-2", "pump-3", "pump-4"] {
            good(&data, &["device", "enroll", name]);
        }
        let spare = words.path().join("token").display().to_string();
        good(&data, &["token", "create", "--device", "pump-5", "--out", &spare]);
        let reserve = data.join("disk-reserve").metadata().unwrap().len();
        assert!(reserve > 0);

        disk.fill();
        let refused = until("enrolment is refused for want of space", || {
            let output = touchmark(&data, &["device", "enroll", "pump-5"]);
            (!output.status.success()).then(|| says(&output)).filter(|says| says.contains("disk"))
        });
        assert!(refused.contains("disk"), "{refused}");
        // Every other write that may wait says so, too, and waits for nobody.
        for line in [
            "device enroll pump-5 --token-file TOKEN".replace("TOKEN", &spare),
            "device rotate pump-2".to_owned(),
            "token create --device pump-7".to_owned(),
            "env create yard".to_owned(),
        ] {
            let begun = Instant::now();
            let output = touchmark(&data, &line.split(' ').collect::<Vec<_>>());
            let says = says(&output);
            assert_eq!(output.status.code(), Some(8), "{line}: {says}");
            assert!(says.contains("error[disk-full] the disk of the authority is full"), "{line}: {says}");
            assert!(says.contains("make space") && !says.contains("busy"), "{line}: {says}");
            assert!(begun.elapsed() < Duration::from_secs(30), "{line}: the time that it was asked to wait");
        }
        // The other program takes what is given back, as long as it can.
        disk.fill();
        good(&data, &["device", "revoke", "pump-1"]);
        good(&data, &["device", "quarantine", "pump-2"]);
        disk.fill();
        good(&data, &["device", "ban", "pump-3"]);

        authority.kill();
        disk.fill();
        let (mut authority, again) = start(2);
        assert_eq!(again.crl, ready.crl, "the addresses are kept");
        good(&data, &["device", "revoke", "pump-4"]);
        assert!(good(&data, &["device", "list"]).contains("banned"));
        good(&data, &["audit", "verify"]);

        std::fs::remove_file(disk.filler()).unwrap();
        until("enrolment works again by itself", || {
            touchmark(&data, &["device", "enroll", "pump-6"]).status.success().then_some(())
        });
        until("the reserve is whole again", || {
            (data.join("disk-reserve").metadata().unwrap().len() == reserve).then_some(())
        });
        good(&data, &["audit", "verify"]);
        assert!(authority.is_running());
        authority.stop();
    }
}

/// A session, if it is let in.
fn comes_in(lab: &Lab, (key, chain): (&Key, &[Certificate]), name: &str) -> Option<Mqtt> {
    let mut device = Mqtt::dial(lab, Some((key, chain)), ProtocolVersion::V5).ok()?;
    device.hello(name).ok().filter(|greeted| greeted.code == 0).map(|_| device)
}

/// R45: a gateway without space decides nothing that it cannot record, and ends who is revoked all the same; a restart
/// without the authority does not bring them back.
#[test]
fn a_gateway_on_a_full_disk_serves_nobody_and_lets_nobody_outlive_a_revocation() {
    let Some(disk) = Disk::of_mib(8) else { return };
    let mut lab = Lab::start();
    std::fs::create_dir_all(disk.data()).unwrap();
    std::fs::set_permissions(disk.data(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::create_dir_all(lab.data().join("gateways")).unwrap();
    std::os::unix::fs::symlink(disk.data(), lab.data().join("gateways/gateway-01")).unwrap();
    lab.start_gateway(&[]);
    let mut operator = lab.operator();
    let [(key, chain), other] = ["pump-01", "pump-02"].map(|name| {
        let token = operator.token(&device_token("lab", name));
        Device::new(&lab).enrol(Some("lab"), &token)
    });
    let mut session = Mqtt::welcome(&lab, (&key, &chain), "pump-01");
    assert_eq!(session.publish("plant/pump-01/t", "1", QoS::AtLeastOnce), Ok(Some(0)));

    disk.fill();
    // Its last pages take some records more.
    until("nothing to be let through that it cannot record", || {
        disk.fill();
        let acknowledged = session.publish("plant/pump-01/t", "2", QoS::AtLeastOnce) == Ok(Some(0));
        (!acknowledged && comes_in(&lab, (&other.0, &other.1), "pump-02").is_none()).then_some(())
    });
    // The feed's last page takes some changes more, too.
    until("the feed not to be stored", || {
        for verb in ["quarantine", "release"] {
            good(&lab.data(), &["device", verb, "pump-02"]);
        }
        lab.gateway().last_words().contains("the feed is in force but not stored").then_some(())
    });
    let outcome = operator.revoke("pump-01");
    let states: Vec<_> = outcome.gateways.iter().map(|one| one.state.clone()).collect();
    assert_eq!(states, [EnforcementState::Applied], "{outcome:?}");
    until("the session to end", || (!session.is_alive()).then_some(()));

    // Killed before it could make it good, and alone afterwards.
    lab.kill_gateway();
    lab.stop_authority();
    // It starts without space, however it ended before, and lets nobody in.
    for ends_in_order in [true, false] {
        disk.fill();
        lab.restart_gateway();
        assert!(comes_in(&lab, (&other.0, &other.1), "pump-02").is_none(), "nothing can be recorded");
        if ends_in_order {
            lab.stop_gateway();
        } else {
            lab.kill_gateway();
        }
    }
    std::fs::remove_file(disk.filler()).unwrap();
    lab.restart_gateway();
    assert!(comes_in(&lab, (&key, &chain), "pump-01").is_none(), "revoked");
    lab.restart();
    until("it serves again by itself", || comes_in(&lab, (&other.0, &other.1), "pump-02"));
    assert!(comes_in(&lab, (&key, &chain), "pump-01").is_none(), "revoked");
}
