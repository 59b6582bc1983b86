//! Connections that come to nothing: silent, one octet long, or the head of a TLS record.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Connections that a flood opens in a second.
pub const FLOOD_PER_S: u32 = 500;
/// Held open at once by one flood: more than the product keeps, fewer than a test may have descriptors.
const HELD: usize = 300;

/// Opens connections to `base` until told to stop, or until there were `most`. Returns how many it opened in a second.
pub fn flood(base: &str, most: usize, stop: &AtomicBool) -> f64 {
    let address = base.rsplit('/').next().unwrap().parse().unwrap();
    let mut held = VecDeque::new();
    let begun = Instant::now();
    let mut opened = 0;
    while opened < most && !stop.load(Ordering::Relaxed) {
        let due = begun + Duration::from_secs(1) * u32::try_from(opened).unwrap() / FLOOD_PER_S;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        opened += 1;
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(5)) else { continue };
        let beginning: &[u8] = [&[][..], &[0x16], &[0x16, 3, 1, 2, 0]][opened % 3];
        // The other end may have closed already.
        let _ = stream.write_all(beginning);
        held.push_back(stream);
        if held.len() > HELD {
            held.pop_front();
        }
    }
    opened as f64 / begun.elapsed().as_secs_f64()
}
