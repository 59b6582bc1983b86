//! The write-ahead file: frames that are durable and not yet leaves of a signed head.
//!
//! One entry: octets of the frame (u32), its leaf index (u64), the first eight octets of SHA-256 over index and
//! frame, then the frame; numbers big-endian. A torn entry at the end was never acknowledged and is cut off.
//! The index says after a crash which frames are leaves already.

use super::LogFault;
use aws_lc_rs::digest::{Context, SHA256};
use std::path::{Path, PathBuf};
use touchmark_decisions::FRAME_OCTETS_MAX;
use touchmark_durable::{AppendFile, Mode, WriteFault};

/// Length, index and checksum before each frame.
const HEADER_OCTETS: usize = 4 + 8 + 8;

/// The open file.
pub(super) struct Wal {
    file: AppendFile,
}

/// A frame and the leaf that it is, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) leaf: u64,
    pub(super) frame: Vec<u8>,
}

impl Wal {
    /// Opens the file and reads what a crash left in it; a torn tail is gone afterwards.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Kept>), LogFault> {
        let mut file = AppendFile::open(path, Mode::Private0600)?;
        let fault = |source| LogFault::Read { path: PathBuf::from(path), source };
        let octets = std::fs::read(path).map_err(fault)?;
        let (kept, whole) = read_entries(&octets);
        if whole < octets.len() {
            tracing::warn!(
                file = %path.display(),
                octets = octets.len() - whole,
                "cutting off a torn entry that was never acknowledged"
            );
            file.truncate(whole as u64)?;
        }
        Ok((Self { file }, kept))
    }

    /// A file on a disk without space.
    #[cfg(test)]
    pub(super) fn full() -> Self {
        Self { file: AppendFile::open(Path::new("/dev/full"), Mode::Private0600).unwrap() }
    }

    /// Makes frames durable together. On an error none of them stays.
    pub(super) fn write(&mut self, frames: &[Kept]) -> Result<(), WriteFault> {
        let mut octets = Vec::new();
        for kept in frames {
            put_entry(&mut octets, kept);
        }
        self.file.append(&octets)?;
        self.file.sync();
        Ok(())
    }

    /// Forgets everything: it stands in the tiles now.
    pub(super) fn clear(&mut self) -> Result<(), WriteFault> {
        if self.file.is_empty() { Ok(()) } else { self.file.truncate(0) }
    }
}

fn put_entry(out: &mut Vec<u8>, kept: &Kept) {
    // A frame is at most FRAME_OCTETS_MAX, far below 32 bits.
    out.extend(u32::try_from(kept.frame.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(kept.leaf.to_be_bytes());
    out.extend(checksum(kept.leaf, &kept.frame));
    out.extend_from_slice(&kept.frame);
}

fn checksum(leaf: u64, frame: &[u8]) -> [u8; 8] {
    let mut context = Context::new(&SHA256);
    context.update(&leaf.to_be_bytes());
    context.update(frame);
    let mut sum = [0; 8];
    sum.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    sum
}

/// The whole entries from the front, and the octets that they take.
fn read_entries(octets: &[u8]) -> (Vec<Kept>, usize) {
    let (mut kept, mut rest) = (Vec::new(), octets);
    while let Some((entry, after)) = read_entry(rest) {
        kept.push(entry);
        rest = after;
    }
    (kept, octets.len() - rest.len())
}

fn read_entry(octets: &[u8]) -> Option<(Kept, &[u8])> {
    let (header, rest) = octets.split_first_chunk::<HEADER_OCTETS>()?;
    let (length, header) = header.split_first_chunk::<4>()?;
    let (leaf, sum) = header.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length > FRAME_OCTETS_MAX {
        return None;
    }
    let (frame, after) = rest.split_at_checked(length)?;
    let leaf = u64::from_be_bytes(*leaf);
    (checksum(leaf, frame) == sum).then(|| (Kept { leaf, frame: frame.to_vec() }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Kept> {
        vec![Kept { leaf: 7, frame: b"one".to_vec() }, Kept { leaf: 8, frame: vec![0xab; 40] }]
    }

    #[test]
    fn entries_stay_as_they_were_first_written() {
        let mut octets = Vec::new();
        entries().iter().for_each(|kept| put_entry(&mut octets, kept));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/wal.hex");
        let text = hex::encode(&octets) + "\n";
        if std::env::var_os("TOUCHMARK_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        assert_eq!(read_entries(&octets), (entries(), octets.len()));
    }

    #[test]
    fn a_tail_torn_anywhere_leaves_the_whole_entries_before_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("wal");
        let mut octets = Vec::new();
        entries().iter().for_each(|kept| put_entry(&mut octets, kept));
        let first = HEADER_OCTETS + 3;
        for cut in 0..octets.len() {
            std::fs::write(&path, &octets[..cut]).unwrap();
            let (mut wal, kept) = Wal::open(&path).unwrap();
            let whole = usize::from(cut >= first);
            assert_eq!(kept, entries()[..whole], "cut at {cut}");
            wal.write(&[Kept { leaf: 9, frame: b"after".to_vec() }]).unwrap();
            let (_, kept) = Wal::open(&path).unwrap();
            assert_eq!(kept.len(), whole + 1, "cut at {cut}");
        }
        for bit in 0..octets.len() * 8 {
            let mut bent = octets.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(read_entries(&bent).0.len() < 2, "bit {bit}");
        }
    }
}
