//! mosquitto: with mutual TLS on its own, or plain behind something that ends TLS.

use super::{Peer, PeerFiles, installed, version};
use crate::fault::Outcome;
use crate::process::{Process, free_port};
use std::process::Command;

/// With mutual TLS, as devices would use it without a gateway. It listens without TLS as well, for a subscriber.
pub(crate) fn mosquitto(files: &PeerFiles) -> Outcome<(Peer, String)> {
    let (tls, plain) = (free_port()?, free_port()?);
    let text = format!(
        "{}listener {tls} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\ntls_version tlsv1.3\n",
        common(plain),
        files.anchors.display(),
        files.chain.display(),
        files.key.display(),
    );
    Ok((start(files, "mosquitto", &text, tls)?, format!("127.0.0.1:{plain}")))
}

/// Plain, on loopback: what stands behind a gateway or a proxy.
pub(crate) fn mosquitto_plain(files: &PeerFiles) -> Outcome<Peer> {
    let port = free_port()?;
    start(files, "mosquitto-plain", &common(port), port)
}

fn common(port: u16) -> String {
    format!(
        "user root\nper_listener_settings false\nallow_anonymous true\npersistence false\nlog_type error\n\
         max_queued_messages 0\nlistener {port} 127.0.0.1\n"
    )
}

fn start(files: &PeerFiles, name: &'static str, text: &str, port: u16) -> Outcome<Peer> {
    let path = installed("mosquitto", "mosquitto")?;
    let config = files.write(&format!("{name}.conf"), text)?;
    let mut command = Command::new(&path);
    command.arg("-c").arg(config);
    let process = Process::serve(name, &mut command, &files.folder, port)?;
    Ok(Peer { version: version(&path, "-h"), process, address: format!("127.0.0.1:{port}") })
}
