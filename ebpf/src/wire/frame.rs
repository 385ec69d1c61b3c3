use super::{ETHERNET_LEN, Ethernet, TAG_LEN, Tags, checksum, ipv6, mss};

/// A type that can be copied out of and into a packet.
///
/// # Safety
/// The type has an alignment of one, no padding, and every bit pattern is a value of it.
pub unsafe trait Wire: Copy + 'static {}

// SAFETY: a byte.
unsafe impl Wire for u8 {}
// SAFETY: an array has neither padding nor an alignment of its own.
unsafe impl<T: Wire, const N: usize> Wire for [T; N] {}

/// A frame, from the first byte of its Ethernet header on.
///
/// Of a frame with VLAN tags that are hidden, all is as if it had none: what comes behind them is where
/// it is in a frame without, and what is written there stays. Only its MACs are not at the first offsets:
/// they stay before the tags, for [`Self::macs`] and [`Self::write_macs`].
///
/// Of a frame that takes several buffers, what is beyond the first is neither read nor written.
pub trait Frame {
    /// How many bytes the frame has, hidden ones aside: in its first buffer, or in all, where that may be
    /// asked without a cost, or [`Self::reaches`] was asked for more than there is in the first.
    fn len(&self) -> usize;

    /// Whether the frame has this many bytes in all.
    fn reaches(&self, len: usize) -> bool {
        self.len() >= len
    }

    /// Whether the frame has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the frame has this many bytes in its first buffer.
    fn holds(&self, len: usize) -> bool {
        self.len() >= len
    }

    /// The MACs, in words as they stand there.
    fn macs(&self) -> Option<[[u8; 4]; 3]> {
        self.read(0)
    }

    /// Replaces the MACs.
    #[must_use]
    fn write_macs(&mut self, macs: [[u8; 4]; 3]) -> Option<()> {
        self.write(0, macs)
    }

    /// The MAC that the frame is from, and the two bytes behind it.
    fn source(&self) -> Option<[u8; 8]> {
        self.read(Ethernet::SOURCE)
    }

    /// The Ethernet header, hidden tags aside.
    fn ethernet(&self) -> Option<Ethernet> {
        let [.., high, low] = self.read::<[u8; ETHERNET_LEN]>(0)?;
        Some(Ethernet::new(self.macs()?, [high, low]))
    }

    /// Copies a value out, or nothing where the frame ends before it does.
    fn read<T: Wire>(&self, offset: usize) -> Option<T>;

    /// Copies a value in, or nothing where the frame ends before it does.
    #[must_use]
    fn write<T: Wire>(&mut self, offset: usize, value: T) -> Option<()>;

    /// Where the maximum segment size stands in the options of the TCP header at `transport`, from
    /// its start: [`mss::find`].
    ///
    /// It is here so that the kernel's frame can put a call to a global BPF function in its place,
    /// which the verifier checks once: a loop is dear to it.
    fn find_mss(&self, transport: usize, header_len: usize) -> Option<usize>
    where
        Self: Sized,
    {
        mss::find(self, transport, header_len)
    }

    /// The sum over `len` bytes from `offset` on: [`checksum::sum_frame`]. It is here for the same reason.
    fn sum(&self, offset: usize, len: usize) -> Option<u64>
    where
        Self: Sized,
    {
        checksum::sum_frame(self, offset, len)
    }

    /// What the extension headers from `start` on lead to: [`ipv6::walk`]. It is here for the reason
    /// that the one before is.
    fn walk_extensions(&self, start: usize, next: u8, len: usize) -> u64
    where
        Self: Sized,
    {
        ipv6::walk(self, start, next, len)
    }

    /// Whether nothing is hidden.
    fn is_whole(&self) -> bool {
        true
    }

    /// Puts this many bytes before the frame in the place of what is hidden. As many as are hidden move
    /// nothing, and the MACs stay where they are. Otherwise the frame becomes longer or shorter at its start,
    /// and its MACs are to be written anew.
    #[must_use]
    fn grow_front(&mut self, bytes: usize) -> Option<()>;

    /// Puts so many bytes, whatever they hold, in the place of the first `old` ones. Nothing is hidden.
    #[must_use]
    fn replace_front(&mut self, old: usize, new: usize) -> Option<()>;

    /// Puts the tags of a VLAN behind the MACs, in the place of what is hidden:
    /// [`Tags::with_priority_of`]. Nothing where there is no room.
    #[must_use]
    fn insert_tags(&mut self, tags: Tags, came: Tags) -> Option<()>
    where
        Self: Sized,
    {
        tags.with_priority_of(came).insert(self)
    }

    /// Cuts the frame off after this many bytes, which it has.
    #[must_use]
    fn truncate(&mut self, len: usize) -> Option<()>;
}

/// A frame whose tags can be hidden.
pub trait TaggedFrame: Frame {
    /// Hides so many bytes behind the MACs, and no others.
    fn hide(&mut self, bytes: usize);

    /// Hides the first tag, or the first two, and says which they are: [`Tags::read`]. Where there are none,
    /// nothing is hidden.
    #[inline(always)]
    fn hide_tags<const STACKED: bool>(&mut self) -> Option<Tags>
    where
        Self: Sized,
    {
        self.hide(0);
        let tags = Tags::read::<STACKED>(self)?;
        self.hide(hidden::<STACKED>());
        Some(tags)
    }

    /// Takes out what is hidden.
    #[must_use]
    #[inline(always)]
    fn strip(&mut self) -> Option<()>
    where
        Self: Sized,
    {
        Tags::NONE.insert(self)
    }
}

/// How many bytes one tag takes, or two.
pub const fn hidden<const STACKED: bool>() -> usize {
    if STACKED { 2 * TAG_LEN } else { TAG_LEN }
}

/// A frame in memory, for everything that is not the kernel.
#[cfg(any(test, feature = "memory"))]
#[derive(Debug)]
pub struct MemoryFrame<'a> {
    bytes: &'a mut std::vec::Vec<u8>,
    /// How many bytes are hidden.
    hidden: usize,
}

#[cfg(any(test, feature = "memory"))]
impl<'a> MemoryFrame<'a> {
    /// Of these bytes, none of which is hidden.
    pub fn new(bytes: &'a mut std::vec::Vec<u8>) -> Self {
        Self { bytes, hidden: 0 }
    }
}

#[cfg(any(test, feature = "memory"))]
impl Frame for MemoryFrame<'_> {
    fn len(&self) -> usize {
        self.bytes.len() - self.hidden
    }

    fn macs(&self) -> Option<[[u8; 4]; 3]> {
        let (words, _) = self.bytes.as_chunks();
        words.first_chunk().copied()
    }

    fn write_macs(&mut self, macs: [[u8; 4]; 3]) -> Option<()> {
        let (words, _) = self.bytes.as_chunks_mut();
        *words.first_chunk_mut()? = macs;
        Some(())
    }

    fn source(&self) -> Option<[u8; 8]> {
        self.bytes.get(Ethernet::SOURCE..)?.first_chunk().copied()
    }

    fn read<T: Wire>(&self, offset: usize) -> Option<T> {
        let bytes = self.bytes.get(self.hidden + offset..)?.get(..size_of::<T>())?;
        // SAFETY: the slice is as long as `T`, and a `Wire` type takes any bytes at any address.
        Some(unsafe { bytes.as_ptr().cast::<T>().read() })
    }

    fn write<T: Wire>(&mut self, offset: usize, value: T) -> Option<()> {
        let bytes = self.bytes.get_mut(self.hidden + offset..)?.get_mut(..size_of::<T>())?;
        // SAFETY: the slice is as long as `T`, and a `Wire` type has no padding and may be written
        // at any address.
        unsafe { bytes.as_mut_ptr().cast::<T>().write(value) };
        Some(())
    }

    fn is_whole(&self) -> bool {
        self.hidden == 0
    }

    fn grow_front(&mut self, bytes: usize) -> Option<()> {
        let (less, more) = (self.hidden.saturating_sub(bytes), bytes.saturating_sub(self.hidden));
        self.bytes.splice(..less, core::iter::repeat_n(0xee, more));
        self.hidden = 0;
        Some(())
    }

    fn replace_front(&mut self, old: usize, new: usize) -> Option<()> {
        if old > self.bytes.len() {
            return None;
        }
        self.bytes.splice(..old, core::iter::repeat_n(0xee, new));
        Some(())
    }

    /// As the kernel's frame does it.
    fn insert_tags(&mut self, tags: Tags, came: Tags) -> Option<()> {
        let tags = tags.with_priority_of(came);
        if self.hidden == TAG_LEN && tags.is_single() {
            tags.replace(self)
        } else {
            tags.insert(self)
        }
    }

    fn truncate(&mut self, len: usize) -> Option<()> {
        self.bytes.truncate(self.hidden + len);
        Some(())
    }
}

#[cfg(any(test, feature = "memory"))]
impl TaggedFrame for MemoryFrame<'_> {
    fn hide(&mut self, bytes: usize) {
        self.hidden = bytes;
    }
}
