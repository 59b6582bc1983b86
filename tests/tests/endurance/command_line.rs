//! Commands whose words nobody takes: what they do is done, and their exit code tells of that.

use crate::log::{Fate, Place};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use touchmark_tests::{Agent, Lab, device_token, until};
use touchmark_x509::Certificate;

/// Where both streams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Both {
    /// To one pipe without a reader: `2>&1 | true`.
    Gone,
    Full,
    Closed,
    /// Results are taken, remarks are not.
    RemarksStalled,
}

const ALL: [Both; 4] = [Both::Gone, Both::Full, Both::Closed, Both::RemarksStalled];

impl Both {
    fn run(self, program: &Path, words: &[&str], variable: (&str, &Path)) -> ExitStatus {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            if self == Self::Closed { "exec \"$0\" \"$@\" >&- 2>&-" } else { "exec \"$0\" \"$@\"" },
        ]);
        command.arg(program).args(words).env(variable.0, variable.1).stdin(Stdio::null());
        let mut place = Place::new(match self {
            Self::Gone | Self::Closed => Fate::Gone,
            Self::Full => Fate::Full,
            Self::RemarksStalled => Fate::Stalled,
        });
        if self == Self::RemarksStalled {
            command.stdout(Stdio::null());
        } else {
            command.stdout(place.as_stdio());
        }
        command.stderr(place.as_stdio());
        place.comes_true();
        command.status().unwrap()
    }
}

fn certificate(lab: &Lab, name: &str) -> Certificate {
    let folder = lab.data().join("devices");
    let found = walk(&folder)
        .into_iter()
        .find(|path| path.ends_with("chain.pem") && path.components().any(|part| part.as_os_str() == name));
    let path = found.unwrap_or_else(|| panic!("no chain of {name} in {}", folder.display()));
    Certificate::from_pem_many(&std::fs::read_to_string(path).unwrap()).unwrap().swap_remove(0)
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_command_does_what_it_was_asked_to_whoever_takes_its_words() {
    let lab = Lab::start();
    let data = lab.data();
    for both in ALL {
        let name = format!("pump-{both:?}").to_lowercase();
        let run = |words: &[&str]| both.run(&Lab::program(), words, ("TOUCHMARK_DATA", &data)).code();
        assert_eq!(run(&["device", "enroll", &name]), Some(0), "{both:?}");
        let mut before = certificate(&lab, &name).fingerprint();
        for turn in 0..2 {
            assert_eq!(run(&["device", "rotate", &name]), Some(0), "{both:?}: rotation {turn}");
            let now = certificate(&lab, &name).fingerprint();
            assert_ne!(now, before, "{both:?}");
            before = now;
            let known = lab.operator().explain(&now.to_string()).unwrap();
            let of_now = known
                .certificates
                .iter()
                .find(|one| one.fingerprint == now.to_string().parse().ok())
                .unwrap();
            assert_eq!(of_now.state, "confirmed", "{both:?}: a rotation is whole");
        }
        for (words, code) in [
            (&["device", "quarantine", &name][..], 0),
            (&["device", "release", &name], 0),
            (&["device", "revoke", &name, "--reason", "key-compromise"], 0),
            (&["device", "get", "nobody"], 3),
            (&["device", "frobnicate"], 2),
            (&["--help"], 0),
            // Here the words are all that was asked for.
            (&["device", "list"], if both == Both::Full { 1 } else { 0 }),
            (&["help-exit-codes"], if both == Both::Full { 1 } else { 0 }),
        ] {
            assert_eq!(run(words), Some(code), "{both:?}: {words:?}");
        }
        let known = lab.operator().explain(&before.to_string()).unwrap();
        assert!(known.certificates.iter().any(|one| one.state == "revoked"), "{both:?}");
    }
}

#[test]
fn the_agents_commands_too() {
    let lab = Lab::start();
    let mut agent = Agent::new(&lab, "device");
    agent.keep(&lab, "lab", "pump-01", &std::fs::read_to_string(lab.anchors()).unwrap(), "");
    agent.bring("lab", &lab.operator().token(&device_token("lab", "pump-01")));
    agent.start();
    agent.until_fresh();
    let program = agent.command(&[]).get_program().to_owned();
    for both in ALL {
        let run = |words: &[&str]| {
            let socket = agent.path("agent.sock");
            both.run(Path::new(&program), words, ("TOUCHMARK_AGENT_SOCKET", &socket)).code()
        };
        let before = agent.certificate("lab").fingerprint();
        assert_eq!(run(&["renew"]), Some(0), "{both:?}");
        until("another certificate", || (agent.certificate("lab").fingerprint() != before).then_some(()));
        agent.until_fresh();
        let lost = if both == Both::Full { 1 } else { 0 };
        for (words, code) in
            [(&["status"][..], lost), (&["why"], lost), (&["certificate"], lost), (&["frobnicate"], 2)]
        {
            assert_eq!(run(words), Some(code), "{both:?}: {words:?}");
        }
    }
}
