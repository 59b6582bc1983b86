//! How the words of `identity` look in CBOR: names as text, identifiers and hashes as octets, moments as integers.

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};

/// Values with a canonical text.
pub(crate) mod text {
    use super::*;
    use core::fmt::Display;
    use core::str::FromStr;

    pub(crate) fn encode<C, T: Display, W: Write>(
        value: &T,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(&value.to_string())?.ok()
    }

    pub(crate) fn decode<'b, C, T: FromStr>(d: &mut Decoder<'b>, _: &mut C) -> Result<T, decode::Error> {
        d.str()?.parse().map_err(|_| decode::Error::message("text out of its grammar"))
    }
}

/// Optional values with a canonical text.
pub(crate) mod opt_text {
    use super::*;
    use core::fmt::Display;
    use core::str::FromStr;

    pub(crate) fn encode<C, T: Display, W: Write>(
        value: &Option<T>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match value {
            Some(value) => text::encode(value, e, ctx),
            None => e.null()?.ok(),
        }
    }

    pub(crate) fn decode<'b, C, T: FromStr>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Option<T>, decode::Error> {
        if d.datatype()? == minicbor::data::Type::Null {
            d.null()?;
            return Ok(None);
        }
        text::decode(d, ctx).map(Some)
    }
}

/// Identifiers and hashes.
pub(crate) mod octets {
    use super::*;

    pub(crate) trait Octets: for<'a> TryFrom<&'a [u8]> {
        fn octets(&self) -> &[u8];
    }

    macro_rules! octets {
        ($($name:ty),*) => { $(impl Octets for $name { fn octets(&self) -> &[u8] { self.as_bytes() } })* };
    }
    use touchmark_identity as identity;
    octets!(
        identity::DeviceId,
        identity::CertificateId,
        identity::AuthorityVersionId,
        identity::ProfileVersionId,
        identity::TokenId,
        identity::MakerId,
        identity::Fingerprint,
        identity::SpkiHash
    );
    impl Octets for identity::SerialNumber {
        fn octets(&self) -> &[u8] {
            self.der_content()
        }
    }

    pub(crate) fn encode<C, T: Octets, W: Write>(
        value: &T,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(value.octets())?.ok()
    }

    pub(crate) fn decode<'b, C, T: Octets>(d: &mut Decoder<'b>, _: &mut C) -> Result<T, decode::Error> {
        T::try_from(d.bytes()?).map_err(|_| decode::Error::message("octets of the wrong form"))
    }
}

/// Optional identifiers and hashes.
pub(crate) mod opt_octets {
    use super::octets::Octets;
    use super::*;

    pub(crate) fn encode<C, T: Octets, W: Write>(
        value: &Option<T>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match value {
            Some(value) => octets::encode(value, e, ctx),
            None => e.null()?.ok(),
        }
    }

    pub(crate) fn decode<'b, C, T: Octets>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Option<T>, decode::Error> {
        if d.datatype()? == minicbor::data::Type::Null {
            d.null()?;
            return Ok(None);
        }
        octets::decode(d, ctx).map(Some)
    }
}

/// Moments, in milliseconds since 1970.
pub(crate) mod moment {
    use super::*;
    use touchmark_identity::Timestamp;

    pub(crate) fn encode<C, W: Write>(
        value: &Timestamp,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.u64(value.unix_ms())?.ok()
    }

    pub(crate) fn decode<'b, C>(d: &mut Decoder<'b>, _: &mut C) -> Result<Timestamp, decode::Error> {
        d.u64().map(Timestamp::from_unix_ms)
    }
}

/// Optional moments.
pub(crate) mod opt_moment {
    use super::*;
    use touchmark_identity::Timestamp;

    pub(crate) fn encode<C, W: Write>(
        value: &Option<Timestamp>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match value {
            Some(value) => moment::encode(value, e, ctx),
            None => e.null()?.ok(),
        }
    }

    pub(crate) fn decode<'b, C>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Option<Timestamp>, decode::Error> {
        if d.datatype()? == minicbor::data::Type::Null {
            d.null()?;
            return Ok(None);
        }
        moment::decode(d, ctx).map(Some)
    }
}

/// The two ends of a validity.
pub(crate) mod span {
    use super::*;
    use touchmark_identity::Validity;

    pub(crate) fn encode<C, W: Write>(
        value: &Validity,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(2)?.u64(value.not_before().unix_s())?.u64(value.not_after().unix_s())?.ok()
    }

    pub(crate) fn decode<'b, C>(d: &mut Decoder<'b>, _: &mut C) -> Result<Validity, decode::Error> {
        if d.array()? != Some(2) {
            return Err(decode::Error::message("a validity has two ends"));
        }
        Validity::new(d.u64()?, d.u64()?)
            .map_err(|_| decode::Error::message("a validity ends after it begins"))
    }
}
