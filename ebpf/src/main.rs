//! The XDP program: [`pointsman_ebpf::path`] over the kernel's packet and BPF maps.
#![no_std]
#![no_main]

mod kernel;

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    macros::xdp,
    programs::XdpContext,
};
use core::mem::MaybeUninit;

use kernel::{
    Carried, KernelTables, PacketFrame, count, enter, leave, leave_note, left, look_up, redirect,
};
use pointsman_ebpf::{
    path::{self, End, Stage, Step},
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
    let tables = KernelTables::<{ look_up::IN_PLACE }>::new();
    let Some(step) = path::established(&mut frame, &tables, ifindex, &mut place, &end) else {
        enter(Stage::Ipv6, &context);
        return end.done(Verdict::Drop(DropReason::NotReady));
    };
    if let Step::Next(_, packet, _) = step {
        leave(packet);
    }
    end.go_on(step, &context, |action| action)
}

/// The program that packets of IPv6 go to from there: [`path::Stage::Ipv6`].
#[xdp]
pub(crate) fn pointsman_ipv6(context: XdpContext) -> u32 {
    let mut frame = PacketFrame::<false>::new(&context);
    let mut place = MaybeUninit::uninit();
    let ifindex = context.ingress_ifindex() as u32;
    let end = Action { len: frame.len() };
    let tables = KernelTables::<{ look_up::IN_PLACE }, _>::with_routes(&context);
    let step = path::established6(&mut frame, &tables, ifindex, &mut place, &end);
    if let Step::Next(_, packet, _) = step {
        leave(packet);
    }
    end.go_on(step, &context, |action| action)
}

/// What the stages of IPv4 look things up in.
#[inline(always)]
fn without_routes<const LOOK_UP: u8>(_context: &XdpContext) -> KernelTables<LOOK_UP> {
    KernelTables::new()
}

/// What those of IPv6 do, and others that ask for routes.
#[inline(always)]
fn with_routes<const LOOK_UP: u8>(context: &XdpContext) -> KernelTables<LOOK_UP, *mut xdp_md> {
    KernelTables::with_routes(context)
}

/// How long the packet was, where it becomes a message about itself.
#[inline(always)]
fn first(before: usize, _frame: &PacketFrame<true>) -> usize {
    before
}

/// How long the packet is, where it stays as long as it was: so nothing of it is kept meanwhile.
#[inline(always)]
fn last(_before: usize, frame: &PacketFrame<true>) -> usize {
    frame.len()
}

/// The programs of the other stages, which are entered from one another, how they look up flows, and when
/// they take the packet's length.
macro_rules! programs {
    ($tables:ident;
     $($(#[$doc:meta])+ $name:ident = $stage:path, $look_up:ident, $len:ident,)+) => {$(
        $(#[$doc])+
        #[xdp]
        pub(crate) fn $name(context: XdpContext) -> u32 {
            let mut frame = PacketFrame::<true>::new(&context);
            let before = frame.len();
            let ifindex = context.ingress_ifindex() as u32;
            let tables = $tables::<{ look_up::$look_up }>(&context);
            let step = match left() {
                Some((packet, note)) => $stage(&mut frame, &tables, ifindex, packet, note),
                None => Step::Done(Verdict::Drop(DropReason::NotReady)),
            };
            let end = Action { len: $len(before, &frame) };
            end.go_on(step, &context, |verdict| end.done(verdict))
        }
    )+};
}
programs! {
    without_routes;
    /// [`path::Stage::Outbound`].
    pointsman_outbound = path::outbound, HIDDEN, last,
    /// [`path::Stage::Opening`].
    pointsman_opening = path::opening, CALL, last,
    /// [`path::Stage::Mapping`].
    pointsman_mapping = path::mapping, CALL, last,
    /// [`path::Stage::Inbound`].
    pointsman_inbound = path::inbound, CALL, last,
    /// [`path::Stage::Hairpin`].
    pointsman_hairpin = path::hairpin, CALL, last,
    /// [`path::Stage::HairpinOpening`].
    pointsman_hairpin_opening = path::hairpin_opening, CALL, last,
    /// [`path::Stage::Fragment`].
    pointsman_fragment = path::fragment, CALL, last,
    /// [`path::Stage::Error`].
    pointsman_error = path::error, CALL, last,
    /// [`path::Stage::Answer`].
    pointsman_answer = path::answer, CALL, first,
}
programs! {
    with_routes;
    /// [`path::Stage::Lan`].
    pointsman_lan = path::lan, CALL, last,
    /// [`path::Stage::Outbound6`].
    pointsman_outbound6 = path::outbound6, HIDDEN, last,
    /// [`path::Stage::Opening6`].
    pointsman_opening6 = path::opening6, CALL, last,
    /// [`path::Stage::Inbound6`].
    pointsman_inbound6 = path::inbound6, CALL, last,
    /// [`path::Stage::Invitation6`].
    pointsman_invitation6 = path::invitation6, CALL, last,
    /// [`path::Stage::Hairpin6`].
    pointsman_hairpin6 = path::hairpin6, CALL, last,
    /// [`path::Stage::Fragment6`].
    pointsman_fragment6 = path::fragment6, CALL, last,
    /// [`path::Stage::Error6`].
    pointsman_error6 = path::error6, CALL, last,
    /// [`path::Stage::Answer6`].
    pointsman_answer6 = path::answer6, CALL, first,
}

/// The only place where a verdict becomes an XDP action.
struct Action {
    /// How long the packet was that came in, in bytes.
    len: usize,
}

impl Action {
    /// What is left of a step. Where a stage has no program, the packet is dropped.
    #[inline(always)]
    fn go_on<D, P: Carried>(
        &self,
        step: Step<'_, D, P>,
        context: &XdpContext,
        done: impl FnOnce(D) -> u32,
    ) -> u32 {
        match step {
            Step::Done(result) => return done(result),
            Step::Next(stage, _, note) => {
                leave_note::<P>(note);
                enter(stage, context);
            }
        }
        self.done(Verdict::Drop(DropReason::NotReady))
    }
}

impl End for Action {
    type Done = u32;

    #[inline(always)]
    fn done(&self, verdict: Verdict) -> u32 {
        let mut counter = verdict.counter();
        let action = match verdict {
            Verdict::Forward { egress, .. }
            | Verdict::Lan { egress }
            | Verdict::Answer { egress, .. } => redirect(egress),
            Verdict::Pass(_) => xdp_action::XDP_PASS,
            Verdict::Drop(_) => xdp_action::XDP_DROP,
        };
        let sent = !matches!(verdict, Verdict::Pass(_) | Verdict::Drop(_));
        if sent && action != xdp_action::XDP_REDIRECT {
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
