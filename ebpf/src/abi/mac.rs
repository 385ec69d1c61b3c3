/// A MAC: its six octets, first to last, in the lower bytes of a little-endian word; the upper two
/// are zero. 8 bytes.
///
/// It is a word and not an array because the path compares and moves MACs in registers: arrays of
/// bytes on the BPF stack are copied in pieces that its verifier calls misaligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Mac(u64);

impl Mac {
    /// From the six octets as they stand in a frame.
    #[inline(always)]
    pub const fn new(octets: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = octets;
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// From the first four and the last two octets.
    #[inline(always)]
    pub const fn from_head_tail(head: [u8; 4], tail: [u8; 2]) -> Self {
        Self(u32::from_le_bytes(head) as u64 | (u16::from_le_bytes(tail) as u64) << 32)
    }

    /// The word itself.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// From what [`Self::to_bits`] gave.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The six octets as they stand in a frame.
    pub const fn octets(self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = self.0.to_le_bytes();
        [a, b, c, d, e, f]
    }
}

/// Destination MAC, then source MAC: the first 12 bytes of a frame, as three little-endian words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct MacPair([u32; 3]);

impl MacPair {
    /// Of a frame from `source` to `destination`.
    #[inline(always)]
    pub const fn new(destination: Mac, source: Mac) -> Self {
        let middle = destination.0 >> 32 | source.0 << 16;
        Self([destination.0 as u32, middle as u32, (source.0 >> 16) as u32])
    }

    /// The three words as they stand in a frame.
    #[inline(always)]
    pub const fn words(self) -> [[u8; 4]; 3] {
        let [a, b, c] = self.0;
        [a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes()]
    }
}
