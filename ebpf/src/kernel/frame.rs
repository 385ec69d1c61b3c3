use core::{cell::Cell, hint::black_box};

use aya_ebpf::{
    bindings::xdp_md,
    helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use pointsman_ebpf::wire::{self, Ethernet, Frame, Tags, Wire, checksum, mss};

use super::tagged_frame::insert_tags;

/// The packet of the XDP context, of which what is between `data` and `data_end` is read and written: the
/// first of its buffers.
///
/// `ANEW` says whether both are read anew for each access, past the optimiser. What the compiler
/// knows from one access and leaves unchecked at the next, the verifier may not know where the
/// offset is a variable.
pub(crate) struct PacketFrame<const ANEW: bool> {
    pub(super) context: *mut xdp_md,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Of a frame whose bounds are not read anew: how long its first buffer is, or all of it, if the first
    /// was not enough.
    pub(super) len: Cell<usize>,
}

impl<const ANEW: bool> PacketFrame<ANEW> {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        let (start, end) = (context.data(), context.data_end());
        let frame = Self { context: context.ctx, start, end, len: Cell::new(0) };
        if !ANEW {
            // Read once more: were the optimiser to see that this is `end - start`, it would prove
            // bounds checks superfluous that the verifier, which proves less, insists on.
            let (start, end) = frame.bounds();
            frame.len.set(end - start);
        }
        frame
    }

    /// Where a `T` at `offset` starts, if it ends before the packet does. The comparison is the one
    /// that the verifier looks for.
    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<usize> {
        let (start, end) = if ANEW { self.bounds() } else { (self.start, self.end) };
        let address = start + offset;
        (address + size_of::<T>() <= end).then_some(address)
    }

    /// Reads where the packet starts and ends, past the optimiser.
    #[inline(always)]
    pub(super) fn bounds(&self) -> (usize, usize) {
        // SAFETY: the context outlives the program's run.
        let (start, end) = unsafe {
            (
                (&raw const (*self.context).data).read_volatile(),
                (&raw const (*self.context).data_end).read_volatile(),
            )
        };
        (start as usize, end as usize)
    }
}

impl<const ANEW: bool> Frame for PacketFrame<ANEW> {
    #[inline(always)]
    fn len(&self) -> usize {
        if ANEW { whole_len(self.context) } else { self.len.get() }
    }

    #[inline(always)]
    fn reaches(&self, len: usize) -> bool {
        if ANEW {
            return self.len() >= len;
        }
        // Hardly any frame has more buffers than one, and to ask is a call.
        if self.len.get() < len {
            self.len.set(whole_len(self.context));
        }
        self.len.get() >= len
    }

    #[inline(always)]
    fn holds(&self, len: usize) -> bool {
        self.at::<()>(len).is_some()
    }

    #[inline(always)]
    fn ethernet(&self) -> Option<Ethernet> {
        self.read(0)
    }

    #[inline(always)]
    fn read<T: Wire>(&self, offset: usize) -> Option<T> {
        let address = self.at::<T>(offset)? as *const T;
        // SAFETY: `at` checked that the packet has a whole `T` there, which may have any bytes and
        // any alignment. The packet is this program's alone while it runs.
        Some(unsafe { address.read() })
    }

    #[inline(always)]
    fn write<T: Wire>(&mut self, offset: usize, value: T) -> Option<()> {
        let address = self.at::<T>(offset)? as *mut T;
        // SAFETY: as for `read`; a `Wire` type has no padding, so only bytes of the value are
        // written.
        unsafe { address.write(value) };
        Some(())
    }

    #[inline(always)]
    fn find_mss(&self, transport: usize, header_len: usize) -> Option<usize> {
        // The optimiser knows what the function can return, and would leave out the mask; the
        // verifier does not.
        let at = black_box(find_mss(self.context, transport as u32, header_len as u32));
        (at != 0).then_some(at as usize & 0x3f)
    }

    #[inline(always)]
    fn sum(&self, offset: usize, len: usize) -> Option<u64> {
        let sum = black_box(sum_frame(self.context, offset as u32, len as u32));
        (sum != NO_SUM).then_some(sum)
    }

    #[inline(always)]
    fn walk_extensions(&self, start: usize, next: u8, len: usize) -> u64 {
        black_box(walk_extensions(self.context, start as u32, u32::from(next), len as u32))
    }

    #[inline(always)]
    fn grow_front(&mut self, bytes: usize) -> Option<()> {
        // SAFETY: the context is the program's own. Whatever was read from it is read anew below.
        let grown = unsafe { bpf_xdp_adjust_head(self.context, -(bytes as i32)) };
        (self.start, self.end) = self.bounds();
        (grown == 0).then_some(())
    }

    #[inline(always)]
    fn replace_front(&mut self, old: usize, new: usize) -> Option<()> {
        // SAFETY: as for `grow_front`.
        let moved = unsafe { bpf_xdp_adjust_head(self.context, old as i32 - new as i32) };
        (self.start, self.end) = self.bounds();
        (moved == 0).then_some(())
    }

    #[inline(always)]
    fn insert_tags(&mut self, tags: Tags, came: Tags) -> Option<()> {
        (insert_tags(self.context, 0, tags.to_bits(), came.to_bits()) == 0).then_some(())
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) -> Option<()> {
        let less = len as i32 - whole_len(self.context) as i32;
        // SAFETY: as for `grow_front`.
        let cut = unsafe { bpf_xdp_adjust_tail(self.context, less) };
        (self.start, self.end) = self.bounds();
        (cut == 0).then_some(())
    }
}

/// How long the context's packet is, in all its buffers.
#[inline(always)]
pub(crate) fn whole_len(context: *mut xdp_md) -> usize {
    // SAFETY: the context is the program's own.
    unsafe { bpf_xdp_get_buff_len(context) as usize }
}

/// [`mss::find`] as a global BPF function: the symbol is exported, so the verifier takes nothing
/// from the caller for granted, and checks it once.
///
/// Returns the place, or zero.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_mss(context: *mut xdp_md, transport: u32, header_len: u32) -> u32 {
    let frame = PacketFrame::<false>::new(&XdpContext::new(context));
    // The masks tell the verifier what the callers keep to.
    let (transport, header_len) = (transport as usize & 0xff, header_len as usize & 0x3f);
    mss::find(&frame, transport, header_len).map_or(0, |at| at as u32)
}

/// What no sum of a frame comes to.
const NO_SUM: u64 = u64::MAX;

/// [`checksum::sum_frame`] as a global BPF function, as [`find_mss`] is.
///
/// Returns the sum, or [`NO_SUM`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sum_frame(context: *mut xdp_md, offset: u32, len: u32) -> u64 {
    let frame = PacketFrame::<true>::new(&XdpContext::new(context));
    // The masks tell the verifier what the callers keep to.
    let (offset, len) = (offset as usize & 0xff, len as usize & 0xffff);
    checksum::sum_frame(&frame, offset, len).unwrap_or(NO_SUM)
}

/// [`wire::walk`] as a global BPF function, as [`find_mss`] is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_extensions(context: *mut xdp_md, start: u32, next: u32, len: u32) -> u64 {
    let frame = PacketFrame::<true>::new(&XdpContext::new(context));
    // The mask tells the verifier what the callers keep to.
    wire::walk(&frame, start as usize & 0x1ff, next as u8, len as usize)
}
