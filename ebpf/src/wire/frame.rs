use super::{ipv6, mss};

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
pub trait Frame {
    /// How many bytes the frame has.
    fn len(&self) -> usize;

    /// Whether the frame has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
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

    /// What the extension headers from `start` on lead to: [`ipv6::walk`]. It is here for the reason
    /// that the one before is.
    fn walk_extensions(&self, start: usize, next: u8, len: usize) -> u64
    where
        Self: Sized,
    {
        ipv6::walk(self, start, next, len)
    }

    /// Puts this many bytes before the frame, whatever they hold.
    #[must_use]
    fn grow_front(&mut self, bytes: usize) -> Option<()>;

    /// Cuts the frame off after this many bytes, which it has.
    #[must_use]
    fn truncate(&mut self, len: usize) -> Option<()>;
}

/// A frame in memory, for everything that is not the kernel.
#[cfg(any(test, feature = "memory"))]
#[derive(Debug)]
pub struct MemoryFrame<'a>(pub &'a mut std::vec::Vec<u8>);

#[cfg(any(test, feature = "memory"))]
impl Frame for MemoryFrame<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read<T: Wire>(&self, offset: usize) -> Option<T> {
        let bytes = self.0.get(offset..)?.get(..size_of::<T>())?;
        // SAFETY: the slice is as long as `T`, and a `Wire` type takes any bytes at any address.
        Some(unsafe { bytes.as_ptr().cast::<T>().read() })
    }

    fn write<T: Wire>(&mut self, offset: usize, value: T) -> Option<()> {
        let bytes = self.0.get_mut(offset..)?.get_mut(..size_of::<T>())?;
        // SAFETY: the slice is as long as `T`, and a `Wire` type has no padding and may be written
        // at any address.
        unsafe { bytes.as_mut_ptr().cast::<T>().write(value) };
        Some(())
    }

    fn grow_front(&mut self, bytes: usize) -> Option<()> {
        self.0.splice(..0, core::iter::repeat_n(0xee, bytes));
        Some(())
    }

    fn truncate(&mut self, len: usize) -> Option<()> {
        self.0.truncate(len);
        Some(())
    }
}
