//! A fuzzer's octets, read from the front. What is not there reads as zero, so that every input means something.

/// The rest of one input.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of it.
    pub fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// One octet.
    pub fn octet(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Two octets, big-endian.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// Eight octets, big-endian.
    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// So many octets.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// At most so many octets.
    pub fn take(&mut self, octets: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(octets.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// What stands behind a length of one octet.
    pub fn short(&mut self) -> &'a [u8] {
        let octets = self.octet();
        self.take(octets.into())
    }

    /// What stands behind a length of two octets.
    pub fn long(&mut self) -> &'a [u8] {
        let octets = self.u16();
        self.take(octets.into())
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// The first octet chooses between several readers in one target, as a letter so that seeds can be read: `a` is 0.
pub fn chosen(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (first.wrapping_sub(b'a'), rest))
}
