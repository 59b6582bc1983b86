//! The canary run: a marked secret of every kind goes through the product, and is then looked for everywhere it
//! must not be: words of processes, argument lists, environments, the data directory, its copies, core files.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use touchmark_tests::Lab;
use touchmark_x509::signer::SoftwareKey;

/// What the lab seals its keys with.
const PASSPHRASE: &str = "correct horse battery staple";

/// Secrets by name, each in every spelling that it could leak in.
#[derive(Default)]
struct Canaries(BTreeMap<String, Vec<Vec<u8>>>);

impl Canaries {
    fn text(&mut self, name: &str, secret: &str) {
        let spellings = vec![secret.as_bytes().to_vec(), base64(secret.as_bytes()), hex(secret.as_bytes())];
        self.0.insert(name.to_owned(), spellings);
    }

    /// A key's secret number, as octets, hexadecimal, base64, and as the lines of its PEM file.
    fn key(&mut self, name: &str, file: &Path) {
        let pem = std::fs::read_to_string(file).unwrap();
        let key = SoftwareKey::from_pkcs8_pem(&pem).unwrap();
        let der = key.to_pkcs8().expose().clone();
        // PKCS#8 of P-256 (RFC 5915): the number stands in an OCTET STRING of 32 octets, the first one in it.
        let at = der.windows(2).position(|pair| pair == [0x04, 0x20]).expect("a P-256 key");
        let number = &der[at + 2..at + 34];
        let mut spellings = vec![number.to_vec(), hex(number), base64(number)];
        let lines = pem.lines().filter(|line| !line.starts_with("-----") && line.len() > 40);
        // The first line is the same for every key of the kind; the next one has the secret in it.
        spellings.extend(lines.skip(1).take(1).map(|line| line.as_bytes().to_vec()));
        self.0.insert(name.to_owned(), spellings);
    }

    /// Names of the canaries in `bytes`.
    fn in_bytes(&self, bytes: &[u8]) -> Vec<&str> {
        let holds = |needle: &Vec<u8>| bytes.windows(needle.len()).any(|window| window == needle);
        self.0
            .iter()
            .filter(|(_, spellings)| spellings.iter().any(holds))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    // Without padding: it would hide the same octets in the middle of a longer text.
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes).into_bytes()
}

/// Everything that was looked at, and what was found in it.
#[derive(Default)]
struct Search {
    looked_at: usize,
    found: Vec<String>,
}

impl Search {
    fn look(&mut self, place: &str, bytes: &[u8], canaries: &Canaries) {
        self.looked_at += 1;
        self.found.extend(canaries.in_bytes(bytes).iter().map(|name| format!("{name} in {place}")));
    }

    fn look_below(&mut self, directory: &Path, but_for: &[PathBuf], canaries: &Canaries) {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                self.look_below(&path, but_for, canaries);
            } else if !but_for.contains(&path) && entry.file_type().unwrap().is_file() {
                self.look(&path.display().to_string(), &std::fs::read(&path).unwrap(), canaries);
            }
        }
    }

    fn look_at_process(&mut self, who: &str, pid: u32, canaries: &Canaries) {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            self.look(&format!("{file} of the {who}"), &bytes, canaries);
        }
    }
}

/// The program, saying all it can, and free to leave core files.
fn talkative(lab: &Path) -> PathBuf {
    let path = lab.join("talkative");
    let script = format!(
        "#!/bin/sh\nulimit -c unlimited\nTOUCHMARK_LOG=trace exec {} \"$@\"\n",
        Lab::program().display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn key_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            key_files(&path, found);
        } else if std::fs::read(&path).unwrap().starts_with(b"-----BEGIN PRIVATE KEY-----") {
            found.push(path);
        }
    }
}

#[test]
fn no_secret_is_found_where_it_must_not_be() {
    let home = tempfile::tempdir().unwrap();
    let program = talkative(home.path());
    let mut lab = Lab::start_with(program.clone(), &[]);
    lab.start_gateway(&[]);
    let data = lab.data();
    let mut words: Vec<(String, Output)> = Vec::new();
    let mut run = |arguments: &[&str], input: Option<&Path>| -> Output {
        let stdin = input.map_or_else(Stdio::null, |path| Stdio::from(std::fs::File::open(path).unwrap()));
        let mut command = Command::new(&program);
        command.args(arguments).arg("--data").arg(&data).stdin(stdin);
        let output = command.output().unwrap();
        words.push((arguments.join(" "), output.clone()));
        output
    };

    // A token on its way: made by an operator, carried in a file, used once.
    let made = run(&["token", "create", "--env", "lab", "--device", "canary-01", "-o", "json"], None);
    let token: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let password = token["password"].as_str().unwrap().to_owned();
    let file = lab.write("token", format!("canary-01\n{password}\n"));
    let file = file.to_str().unwrap();
    let enrolled = run(&["device", "enroll", "canary-01", "--env", "lab", "--token-file", file], None);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let wrong = run(&["device", "enroll", "canary-01", "--env", "lab", "--token-file", file], None);
    assert!(!wrong.status.success(), "a token is good once");
    for arguments in [
        &["device", "connect", "canary-01", "--publish", "plant/canary-01/temp=21"][..],
        &["device", "rotate", "canary-01"],
        &["device", "certs", "canary-01"],
        &["explain", "canary-01"],
        &["token", "list"],
        &["device", "revoke", "canary-01", "--reason", "key-compromise"],
        &["audit", "decisions"],
        &["audit", "verify"],
    ] {
        let output = run(arguments, None);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    let mut canaries = Canaries::default();
    canaries.text("a token's password", &password);
    canaries.text("the passphrase of the keys", PASSPHRASE);
    let mut keys = Vec::new();
    key_files(&data, &mut keys);
    assert!(keys.len() >= 3, "keys of an operator, a gateway and a device: {keys:?}");
    for key in &keys {
        let mode = std::fs::metadata(key).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is for its owner alone", key.display());
        canaries.key(&format!("the key in {}", key.display()), key);
    }

    let mut search = Search::default();
    // The command that makes a token prints its password: that is what it is for.
    for (arguments, Output { stdout, stderr, .. }) in &words {
        if !arguments.starts_with("token create") {
            search.look(&format!("stdout of `{arguments}`"), stdout, &canaries);
        }
        search.look(&format!("stderr of `{arguments}`"), stderr, &canaries);
    }
    search.look_at_process("authority", lab.authority().pid(), &canaries);
    search.look_at_process("gateway", lab.gateway().pid(), &canaries);
    for log in ["authority.stderr", "gateway.stderr"] {
        search.look(log, &std::fs::read(lab.path(log)).unwrap(), &canaries);
    }
    search.look_below(&data, &keys, &canaries);
    assert!(search.found.is_empty(), "secrets leaked:\n{}", search.found.join("\n"));
    assert!(search.looked_at > 30, "only {} places were looked at", search.looked_at);

    // The search finds what is there.
    let mut teeth = Search::default();
    teeth.look_below(&data, &[], &canaries);
    assert!(teeth.found.len() >= keys.len(), "a key in its own file was not found: {:?}", teeth.found);
}

#[test]
fn a_service_that_crashes_leaves_no_core_file() {
    let home = tempfile::tempdir().unwrap();
    let mut lab = Lab::start_with(talkative(home.path()), &[]);
    lab.start_gateway(&[]);
    // What any other program leaves under the same limits; some systems hand cores to a program and say so, too.
    let other = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; kill -s ABRT $$"])
        .current_dir(home.path())
        .status();
    let would_be_dumped = other.unwrap().core_dumped();
    eprintln!("another program's core is dumped here: {would_be_dumped}");
    for (who, ended) in lab.abort_all() {
        assert_eq!(ended.signal(), Some(6), "{who}");
        assert!(!ended.core_dumped(), "{who} left a core file");
    }
}
