//! The XDP program: [`pointsman_ebpf::path`] over the kernel's packet and BPF maps.
#![no_std]
#![no_main]

mod kernel;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use core::mem::MaybeUninit;

use kernel::{KernelTables, PacketFrame, count, enter, leave, left, look_up, redirect};
use pointsman_ebpf::{
    path::{self, End, Note, Stage, Step},
    verdict::{DropReason, Verdict},
    wire::Frame as _,
};

/// The program that is attached to every interface of the gateway: [`path::Stage::Established`].
#[xdp]
pub(crate) fn pointsman(context: XdpContext) -> u32 {
    let mut frame = PacketFrame::<false>::new(&context);
    let mut place = MaybeUninit::uninit();
    let ifindex = context.ingress_ifindex() as u32;
    let end = Action { len: frame.len() };
    match path::established(
        &mut frame,
        &KernelTables::<{ look_up::IN_PLACE }>,
        ifindex,
        &mut place,
        &end,
    ) {
        Step::Done(action) => action,
        Step::Next(stage, packet, note) => {
            leave(packet);
            end.go_on(stage, note, &context)
        }
    }
}

/// The programs of the other stages, which are entered from one another, and how they look up flows.
macro_rules! programs {
    ($($(#[$doc:meta])+ $name:ident = $stage:path, $look_up:ident,)+) => {$(
        $(#[$doc])+
        #[xdp]
        pub(crate) fn $name(context: XdpContext) -> u32 {
            let mut frame = PacketFrame::<true>::new(&context);
            // Before it may become the frame of a message about the packet.
            let end = Action { len: frame.len() };
            let ifindex = context.ingress_ifindex() as u32;
            let step = match left() {
                Some((packet, note)) => {
                    $stage(&mut frame, &KernelTables::<{ look_up::$look_up }>, ifindex, packet, note)
                }
                None => Step::Done(Verdict::Drop(DropReason::NotReady)),
            };
            match step {
                Step::Done(verdict) => end.done(verdict),
                Step::Next(stage, _, note) => end.go_on(stage, note, &context),
            }
        }
    )+};
}
programs! {
    /// [`path::Stage::Outbound`].
    pointsman_outbound = path::outbound, HIDDEN,
    /// [`path::Stage::Opening`].
    pointsman_opening = path::opening, CALL,
    /// [`path::Stage::Mapping`].
    pointsman_mapping = path::mapping, CALL,
    /// [`path::Stage::Inbound`].
    pointsman_inbound = path::inbound, CALL,
    /// [`path::Stage::Hairpin`].
    pointsman_hairpin = path::hairpin, CALL,
    /// [`path::Stage::HairpinOpening`].
    pointsman_hairpin_opening = path::hairpin_opening, CALL,
    /// [`path::Stage::Fragment`].
    pointsman_fragment = path::fragment, CALL,
    /// [`path::Stage::Error`].
    pointsman_error = path::error, CALL,
    /// [`path::Stage::Answer`].
    pointsman_answer = path::answer, CALL,
}

/// The only place where a verdict becomes an XDP action.
struct Action {
    /// How long the packet was that came in, in bytes.
    len: usize,
}

impl Action {
    /// Goes on with the program of another stage. Where there is none, the packet is dropped.
    #[inline(always)]
    fn go_on(&self, stage: Stage, note: Note, context: &XdpContext) -> u32 {
        enter(stage, note, context);
        self.done(Verdict::Drop(DropReason::NotReady))
    }
}

impl End for Action {
    type Done = u32;

    #[inline(always)]
    fn done(&self, verdict: Verdict) -> u32 {
        let mut counter = verdict.counter();
        let action = match verdict {
            Verdict::Forward { egress, .. } | Verdict::Answer { egress, .. } => redirect(egress),
            Verdict::Pass(_) => xdp_action::XDP_PASS,
            Verdict::Drop(_) => xdp_action::XDP_DROP,
        };
        if matches!(verdict, Verdict::Forward { .. } | Verdict::Answer { .. })
            && action != xdp_action::XDP_REDIRECT
        {
            counter = Verdict::Drop(DropReason::Redirect).counter();
        }
        count(counter, self.len);
        action
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel offers some helpers to programs under the GPL only.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
