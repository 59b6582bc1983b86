//! Where an authority with a gateway can be reached: other addresses of loopback, IPv6, a name.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::net::TcpListener;
use std::process::{Command, Stdio};
use touchmark_tests::{Lab, until};

/// Runs `server up --dev` with more words, then a device's whole way on it: enrol, publish, revoke.
fn whole_way(words: &[&str], host: &str) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = Command::new(Lab::program());
    command.args(["server", "up", "--dev", "--json", "--data"]).arg(&data).args(words);
    let mut server = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let run = |line: &str| {
        let mut command = Command::new(Lab::program());
        let ran = command.arg("--data").arg(&data).args(line.split(' ')).output().unwrap();
        let both = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert_eq!(ran.status.code(), Some(0), "{words:?}: {line}: {both}");
        both
    };
    until("the authority and its gateway to be ready", || {
        let text = std::fs::read_to_string(data.join("endpoints.json")).ok()?;
        (text.contains("mqtt\":\"") || text.contains("mqtt\": \"")).then_some(())
    });
    run("device enroll pump-01 --env lab");
    run("device connect pump-01 --publish plant/pump-01/t=1");
    let pem = std::fs::read_to_string(data.join("devices/lab/pump-01/chain.pem")).unwrap();
    let leaf = touchmark_x509::Certificate::from_pem_many(&pem).unwrap().remove(0);
    assert!(leaf.crl_urls()[0].starts_with(&format!("http://{host}:")), "{:?}", leaf.crl_urls());
    run("device revoke pump-01 --reason key-compromise");
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Each address works as the only one, and stands in certificates as a client can use it.
#[test]
fn a_server_is_reached_at_the_address_or_name_that_it_was_given() {
    whole_way(&["--listen", "127.0.0.2"], "127.0.0.2");
    whole_way(&["--listen", "0.0.0.0", "--host", "localhost"], "localhost");
    if TcpListener::bind("[::1]:0").is_ok() {
        whole_way(&["--listen", "::1"], "[::1]");
    } else {
        eprintln!("this machine has no IPv6 on loopback: `--listen ::1` was not tried");
    }
}

/// A certificate cannot name every address.
#[test]
fn every_address_without_a_name_is_refused_with_what_to_add() {
    for address in ["0.0.0.0", "::"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(Lab::program());
        command.args(["server", "up", "--dev", "--listen", address, "--data"]).arg(folder.path());
        let ran = command.output().unwrap();
        let says = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{address}: {says}");
        assert!(says.contains("error[no-host]") && says.contains("--host NAME"), "{address}: {says}");
    }
}
