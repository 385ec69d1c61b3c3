//! The XDP program: [`pointsman_ebpf::path`] over the kernel's packet and BPF maps.
#![no_std]
#![no_main]

mod kernel;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use core::mem::MaybeUninit;

use kernel::{KernelTables, PacketFrame, count, enter, leave, left, redirect};
use pointsman_ebpf::{
    path::{self, Step},
    verdict::{DropReason, Verdict},
    wire::Frame as _,
};

/// The program that is attached to every interface of the gateway: [`path::Stage::Established`].
#[xdp]
pub(crate) fn pointsman(context: XdpContext) -> u32 {
    let mut frame = PacketFrame::<false>::new(&context);
    let mut place = MaybeUninit::uninit();
    let ifindex = context.ingress_ifindex() as u32;
    let len = frame.len();
    let step = path::established(&mut frame, &KernelTables::<false>, ifindex, &mut place);
    if let Step::Next(_, packet, _) = step {
        leave(packet);
    }
    act(step, &context, len)
}

/// The programs of the other stages, which are entered from one another, and whether what is
/// frequent is a call there.
macro_rules! programs {
    ($($(#[$doc:meta])+ $name:ident = $stage:path, $call:literal,)+) => {$(
        $(#[$doc])+
        #[xdp]
        pub(crate) fn $name(context: XdpContext) -> u32 {
            let mut frame = PacketFrame::<true>::new(&context);
            // Before it may become the frame of a message about the packet.
            let len = frame.len();
            let ifindex = context.ingress_ifindex() as u32;
            let step = match left() {
                Some((packet, note)) => {
                    $stage(&mut frame, &KernelTables::<$call>, ifindex, packet, note)
                }
                None => Step::Done(Verdict::Drop(DropReason::NotReady)),
            };
            act(step, &context, len)
        }
    )+};
}
programs! {
    /// [`path::Stage::Outbound`].
    pointsman_outbound = path::outbound, false,
    /// [`path::Stage::Opening`].
    pointsman_opening = path::opening, true,
    /// [`path::Stage::Mapping`].
    pointsman_mapping = path::mapping, true,
    /// [`path::Stage::Inbound`].
    pointsman_inbound = path::inbound, true,
    /// [`path::Stage::Hairpin`].
    pointsman_hairpin = path::hairpin, true,
    /// [`path::Stage::HairpinOpening`].
    pointsman_hairpin_opening = path::hairpin_opening, true,
    /// [`path::Stage::Fragment`].
    pointsman_fragment = path::fragment, true,
    /// [`path::Stage::Error`].
    pointsman_error = path::error, true,
    /// [`path::Stage::Answer`].
    pointsman_answer = path::answer, true,
}

/// The only place where a verdict becomes an XDP action.
#[inline(always)]
fn act(step: Step<'_>, context: &XdpContext, len: usize) -> u32 {
    let verdict = match step {
        Step::Done(verdict) => verdict,
        Step::Next(stage, _, note) => {
            enter(stage, note, context);
            Verdict::Drop(DropReason::NotReady)
        }
    };
    let (action, verdict) = match verdict {
        Verdict::Forward { egress, .. } | Verdict::Answer { egress, .. } => {
            redirect(egress, verdict)
        }
        Verdict::Pass(_) => (xdp_action::XDP_PASS, verdict),
        Verdict::Drop(_) => (xdp_action::XDP_DROP, verdict),
    };
    count(verdict.counter(), len);
    action
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel offers some helpers to programs under the GPL only.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
