//! Framing: octets in any fragments become whole control packets, each bounded before it is buffered.
//!
//! In: chunks. Out: [`Frame`]s that hold the exact octets, to forward untouched or to parse.
//! Cost is linear in the octets fed, also octet by octet; memory is at most one packet and one chunk, and grows
//! with what has arrived, never with what a header announces.

use bytes::{Bytes, BytesMut};

use crate::reader::{VARIABLE_BYTE_INTEGER_MAX, variable_byte_integer};
use crate::{Connect, Fault, Packet, PacketType, ProtocolVersion};

/// Longest packet that MQTT can express: five octets of header and the largest remaining length.
pub const PACKET_OCTETS_MAX: usize = VARIABLE_BYTE_INTEGER_MAX as usize + 5;

/// Cuts a stream of octets into control packets. After the first fault it stays at fault: the stream is lost.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    packet_octets_max: usize,
    /// The header at the front of `buffer`, once it is whole and within bounds.
    header: Option<Header>,
    fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    packet_type: PacketType,
    octets: usize,
    packet_octets: usize,
}

impl FrameReader {
    /// A reader that refuses packets of more than this many octets, fixed header included.
    pub fn new(packet_octets_max: usize) -> Self {
        Self { buffer: BytesMut::new(), packet_octets_max, header: None, fault: None }
    }

    /// Another bound from the next packet on: a server is stricter before CONNECT than after it.
    pub fn set_packet_octets_max(&mut self, packet_octets_max: usize) {
        self.packet_octets_max = packet_octets_max;
    }

    /// Adds what came from the peer; then call [`Self::next_frame`] until it has no more.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.fault.is_none() {
            self.buffer.extend_from_slice(chunk);
        }
    }

    /// The buffer itself, to read from a socket without a copy. Append only, a bounded chunk at a time, and call
    /// [`Self::next_frame`] until it has no more before the next chunk.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole packet, or `None` until more octets come.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.cut().inspect_err(|fault| {
            self.fault = Some(*fault);
            self.buffer = BytesMut::new();
        })
    }

    fn cut(&mut self) -> Result<Option<Frame>, Fault> {
        let header = match self.header {
            Some(header) => header,
            None => match Header::parse(&self.buffer)? {
                None => return Ok(None),
                Some(header) if header.packet_octets > self.packet_octets_max => {
                    let octets = header.packet_octets;
                    return Err(Fault::PacketTooLarge { octets, max: self.packet_octets_max });
                }
                Some(header) => *self.header.insert(header),
            },
        };
        if self.buffer.len() < header.packet_octets {
            return Ok(None);
        }
        self.header = None;
        let octets = match self.buffer.len() == header.packet_octets {
            // Nothing else is in it: two owners of one piece of memory cost one piece more.
            true => core::mem::take(&mut self.buffer),
            false => self.buffer.split_to(header.packet_octets),
        };
        let octets = octets.freeze();
        Ok(Some(Frame { octets, packet_type: header.packet_type, header_octets: header.octets }))
    }

    /// Octets of an unfinished packet: zero when the stream may end here, as after DISCONNECT.
    pub fn unfinished(&self) -> usize {
        self.buffer.len()
    }

    /// Gives the buffer's memory back when nothing is in it, for a session that falls idle.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

impl Header {
    /// Reads type, flags and length from the front; `None` until they are whole.
    fn parse(octets: &[u8]) -> Result<Option<Self>, Fault> {
        let Some((first, rest)) = octets.split_first() else { return Ok(None) };
        let packet_type = PacketType::from_first_octet(*first)?;
        let Some((remaining, length_octets)) = variable_byte_integer(rest)? else { return Ok(None) };
        let header_octets = 1 + length_octets;
        // At most 268 435 455 and 5: fits 32 bits.
        let packet_octets = header_octets + remaining as usize;
        Ok(Some(Self { packet_type, octets: header_octets, packet_octets }))
    }
}

/// One whole control packet: its exact octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    octets: Bytes,
    packet_type: PacketType,
    header_octets: usize,
}

impl Frame {
    /// A frame from octets that hold exactly one packet.
    pub fn from_octets(octets: Bytes) -> Result<Self, Fault> {
        let header = Header::parse(&octets)?.ok_or(Fault::Truncated { field: "fixed header" })?;
        match octets.len() {
            len if len < header.packet_octets => Err(Fault::Truncated { field: "packet" }),
            len if len > header.packet_octets => Err(Fault::Malformed { what: "trailing octets" }),
            _ => Ok(Self { octets, packet_type: header.packet_type, header_octets: header.octets }),
        }
    }

    /// The packet's type.
    pub fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    /// The exact octets, fixed header included: what is forwarded.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// As [`Self::octets`], without another reference.
    pub fn into_octets(self) -> Bytes {
        self.octets
    }

    /// Low nibble of the first octet.
    pub(crate) fn flags(&self) -> u8 {
        self.octets.first().map_or(0, |first| first & 0x0f)
    }

    /// Variable header and payload.
    pub fn body(&self) -> &[u8] {
        self.octets.get(self.header_octets..).unwrap_or_default()
    }

    /// Reads the packet by the rules of a version. A CONNECT names its own version and is read by that.
    pub fn parse(&self, version: ProtocolVersion) -> Result<Packet<'_>, Fault> {
        Packet::parse(version, self)
    }

    /// Reads the first packet of a client, which must be CONNECT [MQTT-3.1.0-1].
    pub fn parse_connect(&self) -> Result<Connect<'_>, Fault> {
        match self.packet_type {
            PacketType::Connect => Connect::parse(self.body()),
            packet => Err(Fault::OutOfOrder { packet, why: "cannot be a client's first packet" }),
        }
    }

    /// The version that a CONNECT asks for, also when the rest of it is malformed: the answer is in its words.
    pub fn connect_version(&self) -> Option<ProtocolVersion> {
        (self.packet_type == PacketType::Connect).then(|| Connect::peek_version(self.body())).flatten()
    }

    /// A part of this frame, such as the payload of its PUBLISH, that lives on by itself. A slice from elsewhere is
    /// copied.
    pub fn share(&self, part: &[u8]) -> Bytes {
        let start = (part.as_ptr() as usize).checked_sub(self.octets.as_ptr() as usize);
        let end = start.and_then(|start| start.checked_add(part.len()));
        match (start, end) {
            (Some(start), Some(end)) if end <= self.octets.len() => self.octets.slice(start..end),
            _ => Bytes::copy_from_slice(part),
        }
    }
}
