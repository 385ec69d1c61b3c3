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
    Carried, KernelTables, PacketFrame, TaggedPacketFrame, count, enter, leave, leave_note, left,
    look_up, redirect,
};
use pointsman_ebpf::{
    abi::PortKey,
    path::{self, End, Stage, Step, Tables},
    verdict::{DropReason, Verdict},
    wire::{Frame as _, TaggedFrame as _, Tags, hidden},
};

/// The program that is attached to every interface of the gateway: [`path::Stage::Established`].
#[xdp]
pub(crate) fn pointsman(context: XdpContext) -> u32 {
    let mut frame = PacketFrame::<false>::new(&context);
    let mut place = MaybeUninit::uninit();
    let ifindex = context.ingress_ifindex() as u32;
    let tables = KernelTables::<{ look_up::IN_PLACE }>::new();
    let end =
        First { context: &context, tables: &tables, len: frame.len(), came: Tags::NONE, hidden: 0 };
    let step = match path::established(&mut frame, &tables, ifindex, &mut place, &end) {
        Ok(step) => step,
        Err(Stage::Tagged) => return end.begin(Stage::Tagged),
        Err(_) => return end.begin(Stage::Ipv6),
    };
    if let Step::Next(_, packet, _) = step {
        leave(packet, PortKey::untagged(ifindex), Tags::NONE);
    }
    end.go_on(step)
}

/// The program that packets of IPv6 go to from there: [`path::Stage::Ipv6`].
#[xdp]
pub(crate) fn pointsman_ipv6(context: XdpContext) -> u32 {
    let mut frame = PacketFrame::<false>::new(&context);
    let mut place = MaybeUninit::uninit();
    let port = PortKey::untagged(context.ingress_ifindex() as u32);
    let tables = KernelTables::<{ look_up::IN_PLACE }, _>::with_routes(&context);
    let end =
        First { context: &context, tables: &tables, len: frame.len(), came: Tags::NONE, hidden: 0 };
    let step = path::established6(&mut frame, &tables, port, &mut place, &end);
    if let Step::Next(_, packet, _) = step {
        leave(packet, port, Tags::NONE);
    }
    end.go_on(step)
}

/// The program that frames with VLAN tags go to from the first: [`path::Stage::Tagged`].
#[xdp]
pub(crate) fn pointsman_tagged(context: XdpContext) -> u32 {
    tagged::<false>(context, Stage::Tagged6)
}

/// The program that those with two tags go to from there: [`path::Stage::Stacked`].
#[xdp]
pub(crate) fn pointsman_stacked(context: XdpContext) -> u32 {
    tagged::<true>(context, Stage::Stacked6)
}

/// The program that those of IPv6 with one go to: [`path::Stage::Tagged6`].
#[xdp]
pub(crate) fn pointsman_tagged6(context: XdpContext) -> u32 {
    tagged6::<false>(context)
}

/// The program that those of IPv6 with two go to: [`path::Stage::Stacked6`].
#[xdp]
pub(crate) fn pointsman_stacked6(context: XdpContext) -> u32 {
    tagged6::<true>(context)
}

/// Frames with one tag, or two, go on with `ipv6` where they are of that.
#[inline(always)]
fn tagged<const STACKED: bool>(context: XdpContext, ipv6: Stage) -> u32 {
    let mut frame = TaggedPacketFrame::new(&context);
    let mut place = MaybeUninit::uninit();
    let ifindex = context.ingress_ifindex() as u32;
    let len = frame.len();
    let came = frame.hide_tags::<STACKED>();
    let tables = KernelTables::<{ look_up::IN_PLACE }>::new();
    let hidden = hidden::<STACKED>();
    let end = First { context: &context, tables: &tables, len, came, hidden };
    let step = match path::tagged(&mut frame, &tables, (ifindex, came), &mut place, &end) {
        Ok(step) => step,
        Err(Stage::Stacked) if !STACKED => return end.begin(Stage::Stacked),
        Err(_) => return end.begin(ipv6),
    };
    if let Step::Next(_, packet, _) = step {
        leave(packet, PortKey::new(ifindex, came.vlan()), came);
        if frame.strip().is_none() {
            return end.done(Verdict::Drop(DropReason::NotReady));
        }
    }
    end.go_on(step)
}

/// The same of IPv6.
#[inline(always)]
fn tagged6<const STACKED: bool>(context: XdpContext) -> u32 {
    let mut frame = TaggedPacketFrame::new(&context);
    let mut place = MaybeUninit::uninit();
    let len = frame.len();
    let came = frame.hide_tags::<STACKED>();
    let port = PortKey::new(context.ingress_ifindex() as u32, came.vlan());
    let tables = KernelTables::<{ look_up::IN_PLACE }, _>::with_routes(&context);
    let hidden = hidden::<STACKED>();
    let end = First { context: &context, tables: &tables, len, came, hidden };
    let step = path::established6(&mut frame, &tables, port, &mut place, &end);
    if let Step::Next(_, packet, _) = step {
        leave(packet, port, came);
        if frame.strip().is_none() {
            return end.done(Verdict::Drop(DropReason::NotReady));
        }
    }
    end.go_on(step)
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

/// How long the packet was, where it becomes one of another length.
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
            let tables = $tables::<{ look_up::$look_up }>(&context);
            let Some(left) = left() else {
                let verdict = Verdict::Drop(DropReason::NotReady);
                return act(verdict, before, |_| Some(()));
            };
            let step = $stage(&mut frame, &tables, left.port, &left.packet, left.note);
            let len = $len(before, &frame);
            conclude(step, left.came, &context, &mut frame, &tables, len)
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
    /// [`path::Stage::RoutedOpening`].
    pointsman_routed_opening = path::routed_opening, CALL, last,
    /// [`path::Stage::RoutedInbound`].
    pointsman_routed_inbound = path::routed_inbound, CALL, last,
    /// [`path::Stage::Answer`].
    pointsman_answer = path::answer, CALL, first,
}
programs! {
    with_routes;
    /// [`path::Stage::Lan`].
    pointsman_lan = path::lan, CALL, last,
    /// [`path::Stage::RoutedInvitation`].
    pointsman_routed_invitation = path::routed_invitation, CALL, last,
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
    /// [`path::Stage::Outbound64`].
    pointsman_outbound64 = path::outbound64, HIDDEN, first,
    /// [`path::Stage::Known64`].
    pointsman_known64 = path::known64, CALL, first,
    /// [`path::Stage::Moved64`].
    pointsman_moved64 = path::moved64, CALL, last,
    /// [`path::Stage::Opening64`].
    pointsman_opening64 = path::opening64, CALL, last,
    /// [`path::Stage::Entry64`].
    pointsman_entry64 = path::entry64, CALL, last,
    /// [`path::Stage::Mapping64`].
    pointsman_mapping64 = path::mapping64, CALL, last,
    /// [`path::Stage::ErrorOut64`].
    pointsman_error_out64 = path::error_out64, CALL, first,
    /// [`path::Stage::Inbound64`].
    pointsman_inbound64 = path::inbound64, CALL, first,
    /// [`path::Stage::Reply64`].
    pointsman_reply64 = path::reply64, CALL, first,
    /// [`path::Stage::Promotion64`].
    pointsman_promotion64 = path::promotion64, CALL, last,
    /// [`path::Stage::Invitation64`].
    pointsman_invitation64 = path::invitation64, CALL, last,
    /// [`path::Stage::ErrorIn64`].
    pointsman_error_in64 = path::error_in64, CALL, first,
}

/// Goes on with the next stage, if there is one. Where that has no program, the packet is dropped.
#[inline(always)]
fn go_on<D, P: Carried>(step: Step<'_, D, P>, context: &XdpContext) -> Result<D, Verdict> {
    match step {
        Step::Done(result) => Ok(result),
        Step::Next(stage, _, note) => {
            leave_note::<P>(note);
            enter(stage, context);
            Err(Verdict::Drop(DropReason::NotReady))
        }
    }
}

/// The end of a packet that one of the first stages decides, its tags hidden.
struct First<'a, T> {
    context: &'a XdpContext,
    tables: &'a T,
    /// How long the packet was that came in, in bytes.
    len: usize,
    /// The tags that it came in with.
    came: Tags,
    /// How many bytes of it are hidden.
    hidden: usize,
}

impl<T: Tables> First<'_, T> {
    /// What is left of a step.
    #[inline(always)]
    fn go_on<P: Carried>(&self, step: Step<'_, u32, P>) -> u32 {
        go_on(step, self.context).unwrap_or_else(|verdict| self.done(verdict))
    }

    /// Begins anew with the program of another stage.
    #[inline(always)]
    fn begin(&self, stage: Stage) -> u32 {
        enter(stage, self.context);
        self.done(Verdict::Drop(DropReason::NotReady))
    }
}

impl<T: Tables> End for First<'_, T> {
    type Done = u32;

    #[inline(always)]
    fn done(&self, verdict: Verdict) -> u32 {
        let mut frame = TaggedPacketFrame::departing(self.context.ctx, self.hidden);
        act(verdict, self.len, |egress| match egress {
            Some(egress) => path::depart(&mut frame, self.tables, self.came, egress),
            None => Some(()),
        })
    }
}

/// The end of a packet that another stage decides, its tags taken out: `len` is how long it was without.
#[inline(always)]
fn conclude<P: Carried, T: Tables>(
    step: Step<'_, Verdict, P>,
    came: Tags,
    context: &XdpContext,
    frame: &mut PacketFrame<true>,
    tables: &T,
    len: usize,
) -> u32 {
    let (Ok(verdict) | Err(verdict)) = go_on(step, context);
    act(verdict, len + came.len(), |egress| match egress {
        Some(egress) => path::depart(frame, tables, came, egress),
        None => path::restore(frame, came),
    })
}

/// The only place where a verdict becomes an XDP action: of a packet that was `len` bytes long. `tag` gives
/// it the tags that it leaves with by an egress, or stays with.
#[inline(always)]
fn act(verdict: Verdict, len: usize, tag: impl FnOnce(Option<u16>) -> Option<()>) -> u32 {
    // Before the frame is written to, which may call a function: after that, the compiler would read what
    // this verdict does not have, for the verdicts that have it.
    let mut counter = verdict.counter();
    let (wanted, action) = match verdict {
        Verdict::Forward { egress, .. }
        | Verdict::Lan { egress }
        | Verdict::Answer { egress, .. } => {
            let action = tag(Some(egress)).map_or(xdp_action::XDP_DROP, |()| redirect(egress));
            (xdp_action::XDP_REDIRECT, action)
        }
        Verdict::Pass(_) => {
            let action = tag(None).map_or(xdp_action::XDP_DROP, |()| xdp_action::XDP_PASS);
            (xdp_action::XDP_PASS, action)
        }
        Verdict::Drop(_) => {
            let _ = tag(None);
            (xdp_action::XDP_DROP, xdp_action::XDP_DROP)
        }
    };
    if action != wanted {
        counter = Verdict::Drop(DropReason::Redirect).counter();
    }
    count(counter, len);
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
