//! cfssl as an issuer: `cfssl serve` with a P-256 authority and mutual TLS, in memory or on PostgreSQL.

use super::{Peer, PeerFiles, Postgres, installed, version};
use crate::fault::{Outcome, While as _};
use crate::process::{Process, free_port};
use std::process::{Command, Stdio};

/// cfssl, and its database if it has one.
pub(crate) struct Cfssl {
    // Dropped in this order: the server before its database.
    pub(crate) peer: Peer,
    pub(crate) postgres: Option<Postgres>,
}

impl Cfssl {
    /// Processor time of both.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.peer.process.cpu_us() + self.postgres.as_ref().map_or(0.0, |postgres| postgres.process.cpu_us())
    }
}

/// Starts it; with a database it records each certificate there before it answers.
pub(crate) fn cfssl(files: &PeerFiles, postgres: Option<Postgres>) -> Outcome<Cfssl> {
    let path = installed("cfssl", "golang-cfssl")?;
    let (authority, key) = (files.folder.join("cfssl-ca.pem"), files.folder.join("cfssl-ca.key"));
    if !authority.exists() {
        make_authority(&authority, &key)?;
    }
    let config = files.write(
        "cfssl.json",
        r#"{"signing":{"default":{"expiry":"720h","usages":["digital signature","client auth"]}}}"#,
    )?;
    let port = free_port()?;
    let name = if postgres.is_some() { "cfssl-postgres" } else { "cfssl-memory" };
    let mut command = Command::new(&path);
    command.args(["serve", "-address=127.0.0.1", "-loglevel=5", &format!("-port={port}")]);
    for (flag, file) in [
        ("ca", &authority),
        ("ca-key", &key),
        ("config", &config),
        ("tls-cert", &files.chain),
        ("tls-key", &files.key),
        ("mutual-tls-ca", &files.anchors),
    ] {
        command.arg(format!("-{flag}={}", file.display()));
    }
    if let Some(postgres) = &postgres {
        let text = serde_json::json!({ "driver": "postgres", "data_source": postgres.source() });
        let file = files.write("cfssl-db.json", &text.to_string())?;
        command.arg(format!("-db-config={}", file.display()));
    }
    // It looks for its pages in the folder where it starts.
    command.current_dir(&files.folder);
    let process = Process::serve(name, &mut command, &files.folder, port)?;
    let peer = Peer { version: version(&path, "version"), process, address: format!("127.0.0.1:{port}") };
    Ok(Cfssl { peer, postgres })
}

fn make_authority(certificate: &std::path::Path, key: &std::path::Path) -> Outcome<()> {
    let openssl = installed("openssl", "openssl")?;
    let mut command = Command::new(openssl);
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    command.args(["-subj", "/CN=bench cfssl", "-days", "30", "-addext", "basicConstraints=critical,CA:TRUE"]);
    command.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout"]).arg(key).arg("-out");
    let output = command.arg(certificate).stdin(Stdio::null()).output()?;
    output.status.success().then_some(()).while_("openssl made no authority for cfssl")?;
    // cfssl of that age reads keys of SEC 1's form only.
    let mut command = Command::new(installed("openssl", "openssl")?);
    command.args(["ec", "-in"]).arg(key).arg("-out").arg(key).stdin(Stdio::null());
    let output = command.output()?;
    output.status.success().then_some(()).while_("openssl cannot convert cfssl's key")
}
