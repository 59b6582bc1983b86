//! The file of frames: each behind its length (four octets, big-endian), nothing between them.

use super::ArchiveFault;
use std::io::Read;
use std::path::Path;
use touchmark_decisions::{FRAME_OCTETS_MAX, Frame};

/// Where whole frames end, and what lies behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Octets of all whole frames.
    pub whole: u64,
    /// Octets behind them: the beginning of a frame that is being written, or was when the process died.
    pub tail: u64,
}

/// A frame with its length before it, as it stands in the file.
pub(crate) fn with_length(leaf: u64, frame: &[u8]) -> Result<Vec<u8>, ArchiveFault> {
    let length = u32::try_from(frame.len())
        .map_err(|_| ArchiveFault::BadFrame { leaf, what: "longer than a frame can be".into() })?;
    Ok([&length.to_be_bytes()[..], frame].concat())
}

/// The frame that these octets are.
pub(crate) fn decode(leaf: u64, bytes: &[u8]) -> Result<Frame, ArchiveFault> {
    Frame::decode(bytes).map_err(|fault| ArchiveFault::BadFrame { leaf, what: fault.to_string() })
}

/// Reads the frames of a file, which may be growing.
///
/// # Errors
/// What `each` says; [`ArchiveFault::BadFrame`] where no frame can stand, even one that is cut short.
pub(crate) fn for_each_frame(
    path: &Path,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), ArchiveFault>,
) -> Result<Walked, ArchiveFault> {
    let fault = |source| ArchiveFault::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Walked::default()),
        Err(source) => return Err(fault(source)),
    };
    let mut input = std::io::BufReader::with_capacity(256 * 1024, file);
    let (mut whole, mut leaf, mut bytes) = (0, 0, Vec::new());
    loop {
        bytes.clear();
        (&mut input).take(4).read_to_end(&mut bytes).map_err(fault)?;
        let impossible = |what: &str| ArchiveFault::BadFrame { leaf, what: what.into() };
        let length = match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(length) => u32::from_be_bytes(length),
            // No frame is so long that its length begins otherwise.
            Err(_) if bytes.iter().take(2).any(|octet| *octet != 0) => {
                return Err(impossible("longer than a frame can be"));
            }
            Err(_) => return Ok(Walked { whole, tail: bytes.len() as u64 }),
        };
        if length as usize > FRAME_OCTETS_MAX {
            return Err(impossible("longer than a frame can be"));
        }
        if length == 0 {
            return Err(impossible("empty"));
        }
        let length = u64::from(length);
        bytes.clear();
        (&mut input).take(length).read_to_end(&mut bytes).map_err(fault)?;
        let have = bytes.len() as u64;
        if have != length {
            if bytes.first().is_some_and(|version| !Frame::reads_version(u64::from(*version))) {
                return Err(impossible("cut short, and of no version of frame"));
            }
            return Ok(Walked { whole, tail: 4 + have });
        }
        each(leaf, &bytes)?;
        whole += 4 + length;
        leaf += 1;
    }
}
