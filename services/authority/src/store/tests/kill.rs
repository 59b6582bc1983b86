//! kill -9 at any moment: what was acknowledged is there, what was not is there wholly or not at all.
//!
//! This does not prove durability: the page cache survives the process. `disk` looks at the fsyncs.

use crate::store::SqliteStore;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};
use touchmark_identity::{AuthorityVersionId, Fingerprint};
use touchmark_inventory::{Command, Precondition, Store};
use touchmark_journal::TokenSubject;
use touchmark_testkit::{JournalBuilder, command, name, replay};

const CHILD: &str = "TOUCHMARK_TEST_STORE_CHILD";
const THREADS: u64 = 8;
const ROUNDS: u64 = 5;

/// What one thread of one round commits, one after the other: the same each time it is asked.
struct Work {
    builder: JournalBuilder,
    authority: AuthorityVersionId,
    number: u64,
    made: u64,
}

impl Work {
    fn of(number: u64) -> Self {
        let mut builder = JournalBuilder::numbered(number + 1);
        Self { authority: builder.authority_version(), builder, number, made: 0 }
    }

    /// A whole enrolment: token, device, intent, certificate.
    fn next(&mut self) -> Command {
        self.made += 1;
        let handle = format!("pump-{}-{}", self.number, self.made);
        let builder = &mut self.builder;
        let (device, token) = (builder.device_id(), builder.token_id());
        let intent = builder.intent(Some(device), self.authority).on(token);
        let fingerprint = Fingerprint(builder.hash());
        let entries = [
            builder.token_created(token, TokenSubject::Named(name(&handle)), 1),
            builder.device_registered(device, &handle),
            builder.intended(&intent),
            builder.issued(intent.certificate, fingerprint),
        ];
        let free = Precondition::DeviceNameFree { environment: name("lab"), name: name(&handle) };
        command([free], entries)
    }
}

/// Writes and acknowledges until it is killed. `round` keeps its rows apart from those of others.
fn write_for_ever(path: &Path, round: u64) {
    let store = SqliteStore::open(path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                let mut work = Work::of(round * THREADS + thread);
                loop {
                    let receipt = store.commit(work.next()).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {} {} {}", work.number, work.made, receipt.first_seq).unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

/// One command as it must be found, by its first leaf.
struct Made {
    number: u64,
    count: u64,
    leaves: Vec<Vec<u8>>,
}

/// (thread's number, its how-manieth command, place).
fn acknowledged(line: &str) -> Option<(u64, u64, u64)> {
    let numbers: Vec<u64> =
        line.strip_prefix("ack ")?.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [number, made, first_seq] = numbers[..] else { return None };
    Some((number, made, first_seq))
}

/// Runs a child for `alive` after its first acknowledgement, kills it, and gives what it had acknowledged.
fn killed_after(path: &Path, round: u64, alive: Duration) -> Vec<(u64, u64, u64)> {
    let mut child = Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::kill::a_killed_store_keeps_what_it_acknowledged", "--nocapture"])
        .env(CHILD, format!("{round} {}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let mut acks = Vec::new();
    let mut first = None;
    let mut killed = false;
    // What was written before the kill stays in the pipe and is read to its end.
    for line in lines.split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        acks.extend(acknowledged(&line));
        if !acks.is_empty() && !killed && first.get_or_insert_with(Instant::now).elapsed() >= alive {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "the child ended by itself: {:?}", child.wait());
    child.wait().unwrap();
    acks
}

#[test]
fn a_killed_store_keeps_what_it_acknowledged() {
    if let Ok(order) = std::env::var(CHILD) {
        let (round, path) = order.split_once(' ').unwrap();
        return write_for_ever(&PathBuf::from(path), round.parse().unwrap());
    }
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.db");
    let mut acks = Vec::new();
    for round in 0..ROUNDS {
        // A line cut in two by the kill is no acknowledgement: it has no end, and may be read too short.
        let mut new = killed_after(&path, round, Duration::from_millis(120 + 90 * (round * 2 % ROUNDS)));
        assert!(new.len() > 8, "the child did some work");
        new.pop();
        acks.extend(new);

        // From acknowledgements to bytes; one more for each thread may have been stored and not acknowledged.
        let mut made: HashMap<u64, u64> = HashMap::new();
        for number in 0..(round + 1) * THREADS {
            made.insert(number, 0);
        }
        acks.iter().for_each(|(number, count, _)| {
            let most = made.entry(*number).or_default();
            *most = (*most).max(*count);
        });
        let mut expected: HashMap<Vec<u8>, Made> = HashMap::new();
        for (number, count) in made {
            let mut work = Work::of(number);
            for count in 1..=count + 2 {
                let leaves: Vec<_> = work.next().entries.iter().map(|draft| draft.leaf().unwrap()).collect();
                expected.insert(leaves[0].clone(), Made { number, count, leaves });
            }
        }

        let store = SqliteStore::open(&path).unwrap();
        let journal = replay::journal(&store);
        let mut there: HashMap<(u64, u64), u64> = HashMap::new();
        let mut seq = 0;
        while let Some(stored) = journal.get(seq) {
            let Made { number, count, leaves } =
                expected.get(&stored.leaf).expect("an entry begins a command");
            let found = journal.get(seq..seq + leaves.len()).expect("a command is there wholly");
            assert!(
                found.iter().map(|stored| &stored.leaf).eq(leaves),
                "a command is there wholly, at {seq}"
            );
            there.insert((*number, *count), seq as u64);
            seq += leaves.len();
        }
        for (number, count, first_seq) in &acks {
            assert_eq!(there.get(&(*number, *count)), Some(first_seq), "acknowledged in round {round}");
        }
        replay::assert_rows_equal_replay(&store);
        eprintln!("round {round}: {} acknowledged so far, {} commands there", acks.len(), there.len());
    }
}
