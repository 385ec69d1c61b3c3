use core::cell::Cell;

use aya_ebpf::{bindings::xdp_md, helpers::generated::bpf_xdp_adjust_head, programs::XdpContext};
use pointsman_ebpf::wire::{Ethernet, Frame, TAG_LEN, TaggedFrame, Tags, Wire};

use super::frame::{PacketFrame, whole_len};

/// A packet whose VLAN tags are hidden: all of it but the MACs is read as much further on.
pub(crate) struct TaggedPacketFrame {
    /// From where an untagged frame would start.
    packet: PacketFrame<false>,
    /// How many bytes there are before that.
    hidden: usize,
}

impl TaggedPacketFrame {
    /// The packet of the context, of which nothing is hidden.
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        Self { packet: PacketFrame::new(context), hidden: 0 }
    }

    /// The packet with what is hidden of it.
    #[inline(always)]
    fn whole(&self) -> PacketFrame<false> {
        let PacketFrame { context, start, end, .. } = self.packet;
        PacketFrame { context, start: start - self.hidden, end, len: Cell::new(0) }
    }
}

impl Frame for TaggedPacketFrame {
    #[inline(always)]
    fn len(&self) -> usize {
        self.packet.len()
    }

    #[inline(always)]
    fn reaches(&self, len: usize) -> bool {
        if self.packet.len.get() < len {
            self.packet.len.set(whole_len(self.packet.context) - self.hidden);
        }
        self.packet.len.get() >= len
    }

    #[inline(always)]
    fn holds(&self, len: usize) -> bool {
        self.packet.holds(len)
    }

    #[inline(always)]
    fn macs(&self) -> Option<[[u8; 4]; 3]> {
        self.whole().read(0)
    }

    #[inline(always)]
    fn write_macs(&mut self, macs: [[u8; 4]; 3]) -> Option<()> {
        self.whole().write(0, macs)
    }

    #[inline(always)]
    fn source(&self) -> Option<[u8; 8]> {
        self.whole().read(Ethernet::SOURCE)
    }

    #[inline(always)]
    fn ethernet(&self) -> Option<Ethernet> {
        let ether_type = self.read(Ethernet::TYPE)?;
        Some(Ethernet::new(self.macs()?, ether_type))
    }

    #[inline(always)]
    fn read<T: Wire>(&self, offset: usize) -> Option<T> {
        self.packet.read(offset)
    }

    #[inline(always)]
    fn write<T: Wire>(&mut self, offset: usize, value: T) -> Option<()> {
        self.packet.write(offset, value)
    }

    #[inline(always)]
    fn walk_extensions(&self, start: usize, next: u8, len: usize) -> u64 {
        // What it finds, it counts from there.
        self.packet.walk_extensions(self.hidden + start, next, len)
    }

    #[inline(always)]
    fn is_whole(&self) -> bool {
        false
    }

    #[inline(always)]
    fn grow_front(&mut self, bytes: usize) -> Option<()> {
        let less = self.hidden as i32 - bytes as i32;
        if less == 0 {
            self.hide(0);
            return Some(());
        }
        self.hidden = 0;
        // SAFETY: the context is the program's own. Whatever was read from it is read anew below.
        let moved = unsafe { bpf_xdp_adjust_head(self.packet.context, less) };
        (self.packet.start, self.packet.end) = self.packet.bounds();
        (moved == 0).then_some(())
    }

    #[inline(always)]
    fn replace_front(&mut self, old: usize, new: usize) -> Option<()> {
        self.packet.replace_front(old, new)
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) -> Option<()> {
        self.packet.truncate(len)?;
        self.packet.start += self.hidden;
        Some(())
    }

    #[inline(always)]
    fn insert_tags(&mut self, tags: Tags, came: Tags) -> Option<()> {
        // The most frequent ones, without the call of a function.
        if self.hidden == TAG_LEN && tags.is_single() {
            return tags.with_priority_of(came).replace(self);
        }
        let (context, hidden) = (self.packet.context, self.hidden as u32);
        (insert_tags(context, hidden, tags.to_bits(), came.to_bits()) == 0).then_some(())
    }
}

impl TaggedFrame for TaggedPacketFrame {
    #[inline(always)]
    fn hide(&mut self, bytes: usize) {
        self.packet.start = self.packet.start + bytes - self.hidden;
        let len = self.packet.len.get();
        self.packet.len.set(len + self.hidden - bytes);
        self.hidden = bytes;
    }
}

/// Puts tags behind the MACs that stand `hidden` bytes from the start, in the place of those bytes, as
/// [`Frame::insert_tags`] says: a global BPF function, as `find_mss` is.
///
/// Returns zero, or anything else where there is no room.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn insert_tags(
    context: *mut xdp_md,
    hidden: u32,
    tags: u64,
    came: u64,
) -> u32 {
    // The mask tells the verifier what the callers keep to.
    let hidden = hidden as usize & (3 * TAG_LEN);
    let mut frame = TaggedPacketFrame::new(&XdpContext::new(context));
    frame.hide(hidden);
    let tags = Tags::from_bits(tags).with_priority_of(Tags::from_bits(came));
    u32::from(tags.insert(&mut frame).is_none())
}
