//! Deterministic CBOR (RFC 8949 §4.2.1): definite lengths and shortest heads only, on both sides.
//!
//! In: values, or octets whose signature was verified (and the two-item wrapper around them).
//! Out: octets, or values; a second spelling of the same value is refused, so bytes can be compared and hashed.

use crate::FeedFault;
use minicbor::{Decoder, Encoder};
use std::convert::Infallible;
use touchmark_identity::Timestamp;

/// Writes into memory, which cannot fail.
pub(crate) struct Writer(Encoder<Vec<u8>>);

type Written<'a> = Result<&'a mut Encoder<Vec<u8>>, minicbor::encode::Error<Infallible>>;

fn written(result: Written<'_>) {
    result.expect("a Vec takes every write");
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self(Encoder::new(Vec::new()))
    }

    pub(crate) fn array(&mut self, items: usize) -> &mut Self {
        written(self.0.array(items as u64));
        self
    }

    pub(crate) fn uint(&mut self, value: u64) -> &mut Self {
        written(self.0.u64(value));
        self
    }

    pub(crate) fn time(&mut self, moment: Timestamp) -> &mut Self {
        self.uint(moment.unix_ms())
    }

    pub(crate) fn bytes(&mut self, octets: &[u8]) -> &mut Self {
        written(self.0.bytes(octets));
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        written(self.0.str(text));
        self
    }

    pub(crate) fn texts(&mut self, texts: &[String]) -> &mut Self {
        self.array(texts.len());
        for text in texts {
            self.text(text);
        }
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

/// Reads, refusing every head that is longer than its value needs.
pub(crate) struct Reader<'b>(Decoder<'b>);

const SHORT: FeedFault = FeedFault::Malformed("cut short or of another type");
const LONG_FORM: FeedFault = FeedFault::Malformed("a number or length not in shortest form");

/// Octets of the shortest head for an argument.
fn head_octets(argument: u64) -> usize {
    match argument {
        0..=0x17 => 1,
        0x18..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

impl<'b> Reader<'b> {
    pub(crate) fn new(octets: &'b [u8]) -> Self {
        Self(Decoder::new(octets))
    }

    /// What was read must be all there is.
    pub(crate) fn end(&self) -> Result<(), FeedFault> {
        if self.remaining() == 0 { Ok(()) } else { Err(FeedFault::Malformed("octets after the end")) }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.0.input().len().saturating_sub(self.0.position())
    }

    /// The head that began at `start` and was followed by `content` octets must have been the shortest.
    fn shortest(&self, start: usize, content: usize, argument: u64) -> Result<(), FeedFault> {
        let head = self.0.position().saturating_sub(start).saturating_sub(content);
        if head == head_octets(argument) { Ok(()) } else { Err(LONG_FORM) }
    }

    pub(crate) fn uint(&mut self) -> Result<u64, FeedFault> {
        let start = self.0.position();
        let value = self.0.u64().map_err(|_| SHORT)?;
        self.shortest(start, 0, value)?;
        Ok(value)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, FeedFault> {
        let ms = self.uint()?;
        let moment = Timestamp::from_unix_ms(ms);
        if moment.unix_ms() == ms {
            Ok(moment)
        } else {
            Err(FeedFault::Malformed("a moment after the year 9999"))
        }
    }

    /// An array's length. Each item takes an octet, so a length beyond the input is refused before any allocation.
    pub(crate) fn array(&mut self) -> Result<usize, FeedFault> {
        let start = self.0.position();
        let items = self.0.array().map_err(|_| SHORT)?.ok_or(LONG_FORM)?;
        self.shortest(start, 0, items)?;
        usize::try_from(items).ok().filter(|items| *items <= self.remaining()).ok_or(SHORT)
    }

    pub(crate) fn array_of(&mut self, items: usize) -> Result<(), FeedFault> {
        if self.array()? == items { Ok(()) } else { Err(FeedFault::Malformed("another number of items")) }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], FeedFault> {
        let start = self.0.position();
        let octets = self.0.bytes().map_err(|_| SHORT)?;
        self.shortest(start, octets.len(), octets.len() as u64)?;
        Ok(octets)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], FeedFault> {
        self.bytes()?.try_into().map_err(|_| FeedFault::Malformed("octets of another length"))
    }

    pub(crate) fn text(&mut self) -> Result<&'b str, FeedFault> {
        let start = self.0.position();
        let text = self.0.str().map_err(|_| SHORT)?;
        self.shortest(start, text.len(), text.len() as u64)?;
        Ok(text)
    }

    /// A text that is a name of some kind.
    pub(crate) fn name<T: core::str::FromStr>(&mut self) -> Result<T, FeedFault> {
        self.text()?.parse().map_err(|_| FeedFault::Malformed("not a name"))
    }

    /// At most `max` texts of at most `octets_max` octets.
    pub(crate) fn texts(&mut self, max: usize, octets_max: usize) -> Result<Vec<String>, FeedFault> {
        let items = self.array()?;
        if items > max {
            return Err(FeedFault::TooLarge("texts in one list"));
        }
        (0..items).map(|_| self.text_within(octets_max).map(str::to_owned)).collect()
    }

    pub(crate) fn text_within(&mut self, octets_max: usize) -> Result<&'b str, FeedFault> {
        let text = self.text()?;
        if text.len() <= octets_max { Ok(text) } else { Err(FeedFault::TooLarge("octets of one text")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shortest_definite_form_is_read() {
        type Read = fn(&mut Reader<'_>) -> Result<(), FeedFault>;
        let uint: Read = |r| r.uint().map(drop);
        let bytes: Read = |r| r.bytes().map(drop);
        let text: Read = |r| r.text().map(drop);
        let array: Read = |r| r.array().map(drop);
        let rows: &[(&str, Read, &str, bool)] = &[
            ("23 in one octet", uint, "17", true),
            ("23 in two", uint, "1817", false),
            ("24 in two", uint, "1818", true),
            ("255 in three", uint, "1900ff", false),
            ("65535 in five", uint, "1a0000ffff", false),
            ("2^32-1 in nine", uint, "1b00000000ffffffff", false),
            ("2^32 in nine", uint, "1b0000000100000000", true),
            ("negative", uint, "20", false),
            ("empty bytes", bytes, "40", true),
            ("bytes with a long length", bytes, "580161", false),
            ("endless bytes", bytes, "5f4161ff", false),
            ("bytes cut short", bytes, "4261", false),
            ("bytes of 2^63", bytes, "5b8000000000000000", false),
            ("text", text, "6161", true),
            ("text that is not UTF-8", text, "61ff", false),
            ("endless text", text, "7f6161ff", false),
            ("array of one", array, "8101", true),
            ("array that claims more than there is", array, "9affffffff01", false),
            ("endless array", array, "9f01ff", false),
            ("nothing", uint, "", false),
        ];
        for (name, read, octets, good) in rows {
            let octets = hex::decode(octets).unwrap();
            assert_eq!(read(&mut Reader::new(&octets)).is_ok(), *good, "{name}");
        }
    }
}
