use super::*;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

const PATIENCE: Duration = Duration::from_secs(60);

/// What the other end of stderr does with each write.
enum Reader {
    /// Takes them.
    Takes(Sender<Vec<u8>>),
    /// Takes the next one when it is told to.
    Waits(Receiver<()>, Sender<Vec<u8>>),
    /// Answers with these, then takes.
    Fails(Vec<io::Result<usize>>, Sender<Vec<u8>>),
}

impl Write for Reader {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = match self {
            Self::Takes(taken) => taken,
            Self::Waits(next, taken) => {
                // The test is over: nobody waits any more.
                let _ = next.recv();
                taken
            }
            Self::Fails(outcomes, taken) => match outcomes.is_empty() {
                true => taken,
                false => return outcomes.remove(0),
            },
        };
        let _ = taken.send(octets.to_vec());
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(taken: &Receiver<Vec<u8>>) -> String {
    String::from_utf8(taken.try_iter().collect::<Vec<_>>().concat()).unwrap()
}

#[test]
fn lines_come_out_in_their_order() {
    let (send, taken) = channel();
    let log = Lossy::new(Box::new(Reader::Takes(send)));
    for number in 0..1000 {
        log.push(format!("{number}\n").as_bytes());
    }
    assert!(log.flush(PATIENCE));
    let all: String = (0..1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(text(&taken), all);
}

/// The lines of a stalled reader are bounded, whoever writes them waits for nothing, and what was lost is said once.
#[test]
fn a_reader_that_stalls_holds_nobody_up_and_hears_how_much_it_missed() {
    for line in [&b"x\n"[..], &[b'x'; LINE_OCTETS_MAX]] {
        let (go_on, wait) = sync_channel(0);
        let (send, taken) = channel();
        let log = Lossy::new(Box::new(Reader::Waits(wait, send)));
        log.push(b"first\n");
        assert!(!log.flush(Duration::from_millis(10)));
        let pushed = 2 * WAITING_LINES_MAX;
        for _ in 0..pushed {
            log.push(line);
        }
        let state = log.0.lock();
        assert!(state.waiting.len() <= WAITING_LINES_MAX && state.octets <= WAITING_OCTETS_MAX);
        let lost = state.lost;
        assert_eq!(state.queued + lost, pushed as u64 + 1);
        assert!(lost > 0);
        drop(state);
        assert!(log.is_stalled());
        drop(go_on);
        assert!(log.flush(PATIENCE));
        log.push(b"last\n");
        assert!(log.flush(PATIENCE));
        let says = text(&taken);
        assert!(!log.is_stalled());
        assert_eq!(says.matches("lines were lost").count(), 1);
        assert!(says.contains(&format!("{lost} log lines were lost")));
        assert!(says.starts_with("first\n") && says.ends_with("last\n"));
    }
}

#[test]
fn a_line_that_cannot_be_written_is_lost_and_the_next_one_says_so() {
    let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
    let gone = || Err(io::Error::from(io::ErrorKind::BrokenPipe));
    let rows: [(&str, Vec<io::Result<usize>>, &str); 6] = [
        ("nothing fails", vec![], "a\nb\nc\n"),
        ("interrupted is no failure", vec![Err(io::ErrorKind::Interrupted.into())], "a\nb\nc\n"),
        ("full once", vec![full()], "1 log lines were lost: nobody took them, or no space was left\nb\nc\n"),
        (
            "gone twice",
            vec![gone(), gone()],
            "2 log lines were lost: nobody took them, or no space was left\nc\n",
        ),
        (
            "would block",
            vec![Err(io::ErrorKind::WouldBlock.into())],
            "1 log lines were lost: nobody took them, or no space was left\nb\nc\n",
        ),
        (
            "full in the middle of a line",
            vec![Ok(1), full()],
            "\n1 log lines were lost: nobody took them, or no space was left\nb\nc\n",
        ),
    ];
    for (name, outcomes, expected) in rows {
        let (send, taken) = channel();
        let log = Lossy::new(Box::new(Reader::Fails(outcomes, send)));
        for line in ["a\n", "b\n", "c\n"] {
            log.push(line.as_bytes());
        }
        assert!(log.flush(PATIENCE), "{name}");
        assert_eq!(text(&taken), expected, "{name}");
    }
}

#[test]
fn a_long_line_is_cut() {
    let (send, taken) = channel();
    let log = Lossy::new(Box::new(Reader::Takes(send)));
    log.push(&[b'x'; LINE_OCTETS_MAX * 2]);
    assert!(log.flush(PATIENCE));
    let says = text(&taken);
    assert_eq!(says.len(), LINE_OCTETS_MAX + " [cut]\n".len());
    assert!(says.ends_with("x [cut]\n"));
}
