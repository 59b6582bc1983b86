//! Writing: counted sections, the fixed header, and why a packet cannot be written.

use bytes::{BufMut, BytesMut};

use crate::reader::VARIABLE_BYTE_INTEGER_MAX;
use crate::{Binary, PacketType, ProtocolVersion, ReasonCode, Text};

/// Why our own packet was not written. The output is as it was before; the caller must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unencodable {
    /// The packet would be longer than MQTT, or the peer's Maximum Packet Size, allows.
    #[error("a packet of {octets} octets does not fit into {max}")]
    TooLong {
        /// Length that it would have.
        octets: usize,
        /// Longest allowed.
        max: usize,
    },
    /// 3.1.1 has no place for this and leaving it out would change what is said.
    #[error("MQTT 3.1.1 cannot say: {what}")]
    NotInVersion311 {
        /// What it cannot say.
        what: &'static str,
    },
    /// A reason code that the standard does not list for the packet.
    #[error("{packet} cannot carry reason code {reason:?}")]
    NotAReasonOf {
        /// The packet.
        packet: PacketType,
        /// The code.
        reason: ReasonCode,
    },
    /// An empty list where the standard demands one element at least.
    #[error("{what} needs at least one element")]
    Empty {
        /// The packet.
        what: &'static str,
    },
}

pub(crate) type Written = Result<(), Unencodable>;

/// Writes one packet: fixed header, then what `body` writes. Leaves `out` as it was on failure.
pub(crate) fn packet(
    out: &mut BytesMut,
    first_octet: u8,
    body: impl FnOnce(&mut BytesMut) -> Written,
) -> Written {
    let start = out.len();
    out.put_u8(first_octet);
    counted(out, body).inspect_err(|_| out.truncate(start))
}

/// As [`packet`], for a type whose flags are fixed.
pub(crate) fn packet_of(
    out: &mut BytesMut,
    packet_type: PacketType,
    body: impl FnOnce(&mut BytesMut) -> Written,
) -> Written {
    packet(out, packet_type.first_octet(), body)
}

/// Writes what `body` writes, behind its length as a Variable Byte Integer.
///
/// The length is known only afterwards: one octet is kept free, and longer sections move up by up to three.
pub(crate) fn counted(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut) -> Written) -> Written {
    let length_at = out.len();
    out.put_u8(0);
    let body_at = out.len();
    body(out)?;
    let body_octets = out.len() - body_at;
    let max = VARIABLE_BYTE_INTEGER_MAX as usize;
    let length = u32::try_from(body_octets).ok().filter(|length| *length <= VARIABLE_BYTE_INTEGER_MAX);
    let length = length.ok_or(Unencodable::TooLong { octets: body_octets, max })?;
    let (digits, used) = variable_byte_integer(length);
    let spread = used - 1;
    if spread > 0 {
        out.put_bytes(0, spread);
        out.copy_within(body_at..body_at + body_octets, body_at + spread);
    }
    for (place, digit) in out.iter_mut().skip(length_at).zip(digits.iter().take(used)) {
        *place = *digit;
    }
    Ok(())
}

/// The digits of a Variable Byte Integer and how many of them count. The value is at most the maximum.
fn variable_byte_integer(value: u32) -> ([u8; 4], usize) {
    let mut digits = [0; 4];
    let mut rest = value;
    let mut used = 0;
    for digit in &mut digits {
        *digit = (rest & 0x7f) as u8;
        rest >>= 7;
        used += 1;
        if rest == 0 {
            break;
        }
        *digit |= 0x80;
    }
    (digits, used)
}

pub(crate) fn put_variable_byte_integer(out: &mut BytesMut, value: u32) {
    let (digits, used) = variable_byte_integer(value);
    out.extend(digits.iter().take(used));
}

pub(crate) fn put_text(out: &mut BytesMut, text: Text<'_>) {
    put_counted_octets(out, text.as_str().as_bytes());
}

pub(crate) fn put_binary(out: &mut BytesMut, binary: Binary<'_>) {
    put_counted_octets(out, binary.as_bytes());
}

fn put_counted_octets(out: &mut BytesMut, octets: &[u8]) {
    // `Text` and `Binary` hold at most 65 535 octets, so the length is exact.
    out.put_u16(u16::try_from(octets.len()).unwrap_or(u16::MAX));
    out.put_slice(octets);
}

/// Refuses a reason code that no side may put into this packet.
pub(crate) fn legal(reason: ReasonCode, packet: PacketType) -> Written {
    if reason.is_known_in(packet) { Ok(()) } else { Err(Unencodable::NotAReasonOf { packet, reason }) }
}

/// Refuses to leave `what` unsaid in 3.1.1.
pub(crate) fn sayable(version: ProtocolVersion, unsaid: bool, what: &'static str) -> Written {
    match version {
        ProtocolVersion::V311 if unsaid => Err(Unencodable::NotInVersion311 { what }),
        _ => Ok(()),
    }
}
