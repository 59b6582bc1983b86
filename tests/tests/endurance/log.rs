//! Services and the agent with a log that nobody takes: they serve, renew, revoke and end as ever.

use crate::installation::{Enrolled, everything_works};
use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Write as _, pipe};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};
use touchmark_tests::{Agent, Lab, device_token, until};

const O_NONBLOCK: i32 = 0o4000;
/// An end in order takes some seconds on a busy machine; one that waits for its log never comes.
const END_MAX: Duration = Duration::from_secs(30);

/// What becomes of standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody reads any more.
    Gone,
    /// The pipe is full, and its reader takes nothing.
    Stalled,
    /// The disk is full.
    Full,
    /// There is none.
    Closed,
}

impl Fate {
    pub(crate) const ALL: [Self; 4] = [Self::Gone, Self::Stalled, Self::Full, Self::Closed];
}

/// A place for a log. While it lives, what was stalled stays so.
pub(crate) struct Place {
    pub(crate) fate: Fate,
    writer: PipeWriter,
    reader: Option<PipeReader>,
}

impl Place {
    pub(crate) fn new(fate: Fate) -> Self {
        let (reader, writer) = pipe().unwrap();
        let place = Self { fate, writer, reader: Some(reader) };
        if fate == Fate::Stalled {
            // A description of its own, so that nobody else's writes become non-blocking.
            let mut filler = File::options().write(true).custom_flags(O_NONBLOCK).open(place.path()).unwrap();
            let full = std::iter::repeat_with(|| filler.write(&[b'x'; 4096])).find_map(Result::err).unwrap();
            assert_eq!(full.kind(), ErrorKind::WouldBlock);
        }
        place
    }

    fn path(&self) -> String {
        match self.fate {
            Fate::Full => "/dev/full".to_owned(),
            Fate::Gone | Fate::Stalled | Fate::Closed => {
                format!("/proc/{}/fd/{}", std::process::id(), self.writer.as_raw_fd())
            }
        }
    }

    /// Words before a program's own that send its standard error there, and everything that there is to say.
    pub(crate) fn before(&self) -> [String; 5] {
        let to = match self.fate {
            Fate::Closed => "2>&-".to_owned(),
            _ => format!("2>{}", self.path()),
        };
        let words = ["env", "TOUCHMARK_LOG=trace", "sh", "-c"].map(str::to_owned);
        let [env, log, sh, c] = words;
        [env, log, sh, c, format!("exec \"$0\" \"$@\" {to}")]
    }

    /// From here on nobody reads.
    pub(crate) fn comes_true(&mut self) {
        if self.fate == Fate::Gone {
            self.reader = None;
        }
    }

    /// For a program that is started directly.
    pub(crate) fn as_stdio(&self) -> Stdio {
        match self.fate {
            Fate::Full => File::options().write(true).open("/dev/full").unwrap().into(),
            _ => self.writer.try_clone().unwrap().into(),
        }
    }
}

fn words(before: &[String; 5]) -> Vec<&str> {
    before.iter().map(String::as_str).collect()
}

/// The authority restarts meanwhile, so that the gateway has something to say, and what it said must not have cost it its feed.
#[test]
fn services_do_all_they_do_whatever_becomes_of_their_logs_and_end_when_asked() {
    for fate in Fate::ALL {
        let mut place = Place::new(fate);
        let before = place.before();
        let mut lab = Lab::start_with(Lab::program(), &words(&before));
        lab.run_gateway_by(&words(&before));
        lab.start_gateway(&[]);
        place.comes_true();
        let device = Enrolled::new(&lab, "pump-01");
        device.publishes(&lab);
        // The pipe of one whose reader is gone cannot be opened again: nobody would be at its other end.
        if fate == Fate::Gone {
            lab.run_authority_by(&["env", "TOUCHMARK_LOG=trace", "sh", "-c", "exec \"$0\" \"$@\" 2>&-"]);
        }
        lab.kill_authority();
        until("the gateway to miss its authority", || {
            std::thread::yield_now();
            device.knocks(&lab).filter(|code| *code == 0)
        });
        lab.restart();
        device.is_revoked(&lab);
        everything_works(&lab, "pump-02");
        lab.authority().hang_up();
        lab.gateway().hang_up();
        everything_works(&lab, "pump-03");
        let begun = Instant::now();
        lab.stop_gateway();
        lab.stop_authority();
        assert!(begun.elapsed() < END_MAX, "{fate:?}: the end took {:?}", begun.elapsed());
    }
}

#[test]
fn the_agent_renews_and_answers_whatever_becomes_of_its_log() {
    let lab = Lab::start();
    let anchors = std::fs::read_to_string(lab.anchors()).unwrap();
    for (number, fate) in [Fate::Gone, Fate::Stalled, Fate::Full].into_iter().enumerate() {
        let mut place = Place::new(fate);
        let (folder, identity) = (format!("device-{number}"), format!("pump-{number}"));
        let mut agent = Agent::new(&lab, &folder);
        agent.keep(&lab, "lab", &identity, &anchors, "");
        agent.bring("lab", &lab.operator().token(&device_token("lab", &identity)));
        agent.start_logging_to(place.as_stdio());
        place.comes_true();
        agent.until_fresh();
        for _ in 0..2 {
            let before = agent.certificate("lab").fingerprint();
            agent.hang_up();
            agent.good(&["renew"]);
            until("another certificate", || (agent.certificate("lab").fingerprint() != before).then_some(()));
            agent.until_fresh();
        }
        agent.kill();
    }
}
