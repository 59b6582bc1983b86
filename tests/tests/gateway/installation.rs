//! An authority, a gateway, a broker, and devices with certificates.

use std::path::PathBuf;
use touchmark_mqtt::ProtocolVersion;
use touchmark_tests::{Broker, Device, Key, Lab, Mqtt, Program, device_token, until};
use touchmark_x509::Certificate;

/// Everything that a journey needs.
pub(crate) struct Installation {
    pub(crate) lab: Lab,
    pub(crate) broker: Broker,
}

/// A device that was enrolled.
pub(crate) struct Enrolled {
    pub(crate) name: String,
    pub(crate) key: Key,
    pub(crate) chain: Vec<Certificate>,
}

impl Enrolled {
    pub(crate) fn identity(&self) -> (&Key, &[Certificate]) {
        (&self.key, &self.chain)
    }

    /// Certificate chain and key as files, for other programs.
    pub(crate) fn files(&self, lab: &Lab) -> (PathBuf, PathBuf) {
        let chain: String = self.chain.iter().map(Certificate::to_pem).collect();
        let chain = lab.write(&format!("{}.crt", self.name), chain);
        (chain, lab.write(&format!("{}.key", self.name), self.key.pem()))
    }
}

impl Installation {
    /// `None` where the broker's programs are missing.
    pub(crate) fn start() -> Option<Self> {
        let mut lab = Lab::start();
        let broker = Broker::start(&lab)?;
        lab.start_gateway(&["--upstream-mqtt", &broker.address()]);
        served(&lab, "lab");
        Some(Self { lab, broker })
    }

    pub(crate) fn enrol(&self, name: &str) -> Enrolled {
        enrol(&self.lab, "lab", name)
    }

    /// The words with which mosquitto's clients present a device.
    pub(crate) fn as_mosquitto(&self, device: &Enrolled, version: &str) -> Vec<String> {
        let (chain, key) = device.files(&self.lab);
        let (host, port) = self.lab.mqtt().rsplit_once(':').unwrap();
        let file = |path: PathBuf| path.display().to_string();
        let mut words = vec!["-h".to_owned(), host.to_owned(), "-p".to_owned(), port.to_owned()];
        words.extend(["--cafile".to_owned(), file(self.lab.gateway_anchors())]);
        words.extend(["--cert".to_owned(), file(chain), "--key".to_owned(), file(key)]);
        words.extend(["-i", &device.name, "-V", version].map(str::to_owned));
        words
    }
}

/// A gateway that has just started refuses everyone until it has its first feed.
pub(crate) fn served(lab: &Lab, environment: &str) {
    let probe = enrol(lab, environment, "probe");
    until("the gateway to have its feed", || {
        let greeted =
            Mqtt::dial(lab, Some(probe.identity()), ProtocolVersion::V5).ok()?.hello("probe").ok()?;
        (greeted.code == 0).then_some(())
    });
}

pub(crate) fn enrol(lab: &Lab, environment: &str, name: &str) -> Enrolled {
    let token = lab.operator().token(&device_token(environment, name));
    let (key, chain) = Device::new(lab).enrol(Some(environment), &token);
    Enrolled { name: name.to_owned(), key, chain }
}

/// Runs one of mosquitto's clients to its end.
pub(crate) fn run(program: &Program, words: &[String], more: &[&str]) -> (Option<i32>, String) {
    let output = program.command().args(words).args(more).output().unwrap();
    let says = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&says).into_owned())
}
