use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use pointsman_ebpf::wire::{Frame, Wire};

/// The packet between `data` and `data_end` of the XDP context.
pub(crate) struct PacketFrame {
    context: *const xdp_md,
    start: usize,
    end: usize,
}

impl PacketFrame {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        Self { context: context.ctx, start: context.data(), end: context.data_end() }
    }

    /// Where a `T` at `offset` starts, if it ends before the packet does. The comparison is the one
    /// that the verifier looks for.
    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<usize> {
        let address = self.start + offset;
        (address + size_of::<T>() <= self.end).then_some(address)
    }
}

impl Frame for PacketFrame {
    /// Reads the context anew, and past the optimiser: were it to see that this is `end - start`,
    /// it would prove bounds checks superfluous that the verifier, which proves less, insists on.
    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: the context outlives the program's run.
        let (start, end) = unsafe {
            (
                (&raw const (*self.context).data).read_volatile(),
                (&raw const (*self.context).data_end).read_volatile(),
            )
        };
        end as usize - start as usize
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
}
