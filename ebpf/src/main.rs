//! The XDP program: [`pointsman_ebpf::path`] over the kernel's packet and BPF maps.
//!
//! All programs say that they take frames of several buffers (`frags`), for drivers hand over none that is
//! larger than a page to one that does not, and none ends in one that says otherwise. The headers are in
//! the first buffer, and what is behind it is neither read nor written.
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
    Carried, KernelTables, Left, PacketFrame, TaggedPacketFrame, count, enter, hear, leave,
    leave_note, left, look_up, redirect, whole_len,
};
use pointsman_ebpf::{
    abi::PortKey,
    path::{self, End, Stage, Step, Tables},
    verdict::{DropReason, Verdict},
    wire::{Frame, TaggedFrame as _, Tags, hidden},
};

/// The program that is attached to an interface of the gateway: [`path::Stage::Established`].
#[xdp(frags)]
pub(crate) fn pointsman(context: XdpContext) -> u32 {
    let mut frame = PacketFrame::<false>::new(&context);
    let mut place = MaybeUninit::uninit();
    let ifindex = context.ingress_ifindex() as u32;
    let tables = KernelTables::<{ look_up::IN_PLACE }>::new();
    let end = First { context: &context, tables: &tables, came: Tags::NONE, hidden: 0 };
    let step = match path::established(&mut frame, &tables, ifindex, &mut place, &end) {
        Ok(step) => step,
        Err(Stage::Tagged) => return begin(Stage::Tagged, &context),
        Err(_) => return begin(Stage::Ipv6, &context),
    };
    if let Step::Next(_, packet, _) = step {
        leave(packet, PortKey::untagged(ifindex), Tags::NONE, frame.len());
    }
    end.go_on(step)
}

/// The program that packets of IPv6 go to from there: [`path::Stage::Ipv6`].
#[xdp(frags)]
pub(crate) fn pointsman_ipv6(context: XdpContext) -> u32 {
    let mut frame = PacketFrame::<false>::new(&context);
    let mut place = MaybeUninit::uninit();
    let port = PortKey::untagged(context.ingress_ifindex() as u32);
    let tables = KernelTables::<{ look_up::IN_PLACE }, _>::with_routes(&context);
    let end = First { context: &context, tables: &tables, came: Tags::NONE, hidden: 0 };
    let step = path::established6(&mut frame, &tables, port, &mut place, &end);
    if let Step::Next(_, packet, _) = step {
        leave(packet, port, Tags::NONE, frame.len());
    }
    end.go_on(step)
}

/// The program that frames with VLAN tags go to from the first: [`path::Stage::Tagged`]. It is attached itself
/// where all that concerns the gateway has tags, and then it is the others that go to the first. Without
/// that way round, a tagged packet costs a few per cent more than an untagged one.
#[xdp(frags)]
pub(crate) fn pointsman_tagged(context: XdpContext) -> u32 {
    tagged::<false>(context, Stage::Tagged6)
}

/// The program that those with two tags go to from there: [`path::Stage::Stacked`].
#[xdp(frags)]
pub(crate) fn pointsman_stacked(context: XdpContext) -> u32 {
    tagged::<true>(context, Stage::Stacked6)
}

/// The program that those of IPv6 with one go to: [`path::Stage::Tagged6`].
#[xdp(frags)]
pub(crate) fn pointsman_tagged6(context: XdpContext) -> u32 {
    tagged6::<false>(context)
}

/// The program that those of IPv6 with two go to: [`path::Stage::Stacked6`].
#[xdp(frags)]
pub(crate) fn pointsman_stacked6(context: XdpContext) -> u32 {
    tagged6::<true>(context)
}

/// Frames with one tag, or two, go on with `ipv6` where they are of that.
#[inline(always)]
fn tagged<const STACKED: bool>(context: XdpContext, ipv6: Stage) -> u32 {
    let mut frame = TaggedPacketFrame::new(&context);
    let mut place = MaybeUninit::uninit();
    let ifindex = context.ingress_ifindex() as u32;
    let Some(came) = frame.hide_tags::<STACKED>() else {
        return begin(Stage::Established, &context);
    };
    let tables = KernelTables::<{ look_up::IN_PLACE }>::new();
    let hidden = hidden::<STACKED>();
    let end = First { context: &context, tables: &tables, came, hidden };
    let step = match path::tagged::<_, _, _, STACKED>(
        &mut frame,
        &tables,
        (ifindex, came),
        &mut place,
        &end,
    ) {
        Ok(step) => step,
        Err(Stage::Stacked) if !STACKED => return begin(Stage::Stacked, &context),
        Err(_) => return begin(ipv6, &context),
    };
    if let Step::Next(_, packet, _) = step {
        leave(packet, PortKey::new(ifindex, came.known_vlan::<STACKED>()), came, frame.len());
        if frame.strip().is_none() {
            return end.done(&mut frame, Verdict::Drop(DropReason::NotReady));
        }
    }
    end.go_on(step)
}

/// The same of IPv6.
#[inline(always)]
fn tagged6<const STACKED: bool>(context: XdpContext) -> u32 {
    let mut frame = TaggedPacketFrame::new(&context);
    let mut place = MaybeUninit::uninit();
    let Some(came) = frame.hide_tags::<STACKED>() else {
        return begin(Stage::Established, &context);
    };
    let port = PortKey::new(context.ingress_ifindex() as u32, came.known_vlan::<STACKED>());
    let tables = KernelTables::<{ look_up::IN_PLACE }, _>::with_routes(&context);
    let hidden = hidden::<STACKED>();
    let end = First { context: &context, tables: &tables, came, hidden };
    let step = path::established6(&mut frame, &tables, port, &mut place, &end);
    if let Step::Next(_, packet, _) = step {
        leave(packet, port, came, frame.len());
        if frame.strip().is_none() {
            return end.done(&mut frame, Verdict::Drop(DropReason::NotReady));
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

/// The programs of the other stages, which are entered from one another; whether they hand to the kernel what
/// may be of a BFD session; and how they look up flows.
macro_rules! programs {
    ($tables:ident, $hears:literal;
     $($(#[$doc:meta])+ $name:ident = $stage:path, $look_up:ident,)+) => {$(
        $(#[$doc])+
        #[xdp(frags)]
        pub(crate) fn $name(context: XdpContext) -> u32 {
            let mut frame = PacketFrame::<true>::new(&context);
            let tables = $tables::<{ look_up::$look_up }>(&context);
            let Some(left) = left() else {
                let verdict = Verdict::Drop(DropReason::NotReady);
                return act(verdict, frame.len(), |_| Some(()));
            };
            let step = $stage(&mut frame, &tables, left.port, &left.packet, left.note);
            conclude::<_, _, $hears>(step, left, &context, &mut frame, &tables)
        }
    )+};
}
programs! {
    without_routes, true;
    /// [`path::Stage::Inbound`].
    pointsman_inbound = path::inbound, CALL,
    /// [`path::Stage::RoutedInbound`].
    pointsman_routed_inbound = path::routed_inbound, CALL,
}
programs! {
    without_routes, false;
    /// [`path::Stage::Outbound`].
    pointsman_outbound = path::outbound, HIDDEN,
    /// [`path::Stage::Lost`].
    pointsman_lost = path::lost, CALL,
    /// [`path::Stage::Opening`].
    pointsman_opening = path::opening, CALL,
    /// [`path::Stage::Mapping`].
    pointsman_mapping = path::mapping, CALL,
    /// [`path::Stage::Hairpin`].
    pointsman_hairpin = path::hairpin, CALL,
    /// [`path::Stage::HairpinOpening`].
    pointsman_hairpin_opening = path::hairpin_opening, CALL,
    /// [`path::Stage::Fragment`].
    pointsman_fragment = path::fragment, CALL,
    /// [`path::Stage::Error`].
    pointsman_error = path::error, CALL,
    /// [`path::Stage::RoutedOpening`].
    pointsman_routed_opening = path::routed_opening, CALL,
    /// [`path::Stage::Answer`].
    pointsman_answer = path::answer, CALL,
}
programs! {
    with_routes, true;
    /// [`path::Stage::RoutedInvitation`].
    pointsman_routed_invitation = path::routed_invitation, CALL,
    /// [`path::Stage::Inbound6`].
    pointsman_inbound6 = path::inbound6, CALL,
    /// [`path::Stage::Invitation6`].
    pointsman_invitation6 = path::invitation6, CALL,
    /// [`path::Stage::Inbound66`].
    pointsman_inbound66 = path::inbound66, CALL,
    /// [`path::Stage::Invitation66`].
    pointsman_invitation66 = path::invitation66, CALL,
}
programs! {
    with_routes, false;
    /// [`path::Stage::Lan`].
    pointsman_lan = path::lan, CALL,
    /// [`path::Stage::Outbound6`].
    pointsman_outbound6 = path::outbound6, HIDDEN,
    /// [`path::Stage::Lost6`].
    pointsman_lost6 = path::lost6, CALL,
    /// [`path::Stage::Opening6`].
    pointsman_opening6 = path::opening6, CALL,
    /// [`path::Stage::Hairpin6`].
    pointsman_hairpin6 = path::hairpin6, CALL,
    /// [`path::Stage::Fragment6`].
    pointsman_fragment6 = path::fragment6, CALL,
    /// [`path::Stage::Error6`].
    pointsman_error6 = path::error6, CALL,
    /// [`path::Stage::Answer6`].
    pointsman_answer6 = path::answer6, CALL,
    /// [`path::Stage::Outbound64`].
    pointsman_outbound64 = path::outbound64, HIDDEN,
    /// [`path::Stage::Known64`].
    pointsman_known64 = path::known64, CALL,
    /// [`path::Stage::Moved64`].
    pointsman_moved64 = path::moved64, CALL,
    /// [`path::Stage::Lost64`].
    pointsman_lost64 = path::lost64, CALL,
    /// [`path::Stage::Opening64`].
    pointsman_opening64 = path::opening64, CALL,
    /// [`path::Stage::Entry64`].
    pointsman_entry64 = path::entry64, CALL,
    /// [`path::Stage::Mapping64`].
    pointsman_mapping64 = path::mapping64, CALL,
    /// [`path::Stage::ErrorOut64`].
    pointsman_error_out64 = path::error_out64, CALL,
    /// [`path::Stage::Inbound64`].
    pointsman_inbound64 = path::inbound64, CALL,
    /// [`path::Stage::Reply64`].
    pointsman_reply64 = path::reply64, CALL,
    /// [`path::Stage::Promotion64`].
    pointsman_promotion64 = path::promotion64, CALL,
    /// [`path::Stage::Invitation64`].
    pointsman_invitation64 = path::invitation64, CALL,
    /// [`path::Stage::ErrorIn64`].
    pointsman_error_in64 = path::error_in64, CALL,
    /// [`path::Stage::Opening66`].
    pointsman_opening66 = path::opening66, CALL,
    /// [`path::Stage::Mapping66`].
    pointsman_mapping66 = path::mapping66, CALL,
    /// [`path::Stage::Moved66`].
    pointsman_moved66 = path::moved66, CALL,
    /// [`path::Stage::Promotion66`].
    pointsman_promotion66 = path::promotion66, CALL,
    /// [`path::Stage::ErrorOut66`].
    pointsman_error_out66 = path::error_out66, CALL,
    /// [`path::Stage::ErrorIn66`].
    pointsman_error_in66 = path::error_in66, CALL,
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

/// Begins anew with the program of another stage.
#[inline(always)]
fn begin(stage: Stage, context: &XdpContext) -> u32 {
    enter(stage, context);
    act(Verdict::Drop(DropReason::NotReady), whole_len(context.ctx), |_| Some(()))
}

/// The end of a packet that one of the first stages decides, its tags hidden.
struct First<'a, T> {
    context: &'a XdpContext,
    tables: &'a T,
    /// The tags that it came in with.
    came: Tags,
    /// How many bytes of it are hidden.
    hidden: usize,
}

impl<T: Tables> First<'_, T> {
    /// What is left of a step.
    #[inline(always)]
    fn go_on<P: Carried>(&self, step: Step<'_, u32, P>) -> u32 {
        go_on(step, self.context).unwrap_or_else(|verdict| self.refuse(verdict, self.came.len()))
    }

    /// Drops a packet of which so many bytes were taken out.
    #[inline(always)]
    fn refuse(&self, verdict: Verdict, without: usize) -> u32 {
        act(verdict, whole_len(self.context.ctx) + without, |_| Some(()))
    }
}

impl<T: Tables> End for First<'_, T> {
    type Done = u32;

    #[inline(always)]
    fn done<F: Frame>(&self, frame: &mut F, verdict: Verdict) -> u32 {
        let verdict = listen(verdict, self.context, self.came, self.came.len());
        let len = match verdict {
            // It was perhaps not looked at far enough to tell.
            Verdict::Pass(_) | Verdict::Drop(_) | Verdict::Heard => whole_len(self.context.ctx),
            _ => frame.len() + self.hidden,
        };
        act(verdict, len, |egress| match egress {
            Some(egress) => path::depart(frame, self.tables, self.came, egress),
            None => Some(()),
        })
    }
}

/// The end of a packet that another stage decides, its tags taken out.
#[inline(always)]
fn conclude<P: Carried, T: Tables, const HEARS: bool>(
    step: Step<'_, Verdict, P>,
    left: &Left<P>,
    context: &XdpContext,
    frame: &mut PacketFrame<true>,
    tables: &T,
) -> u32 {
    let came = left.came;
    let (Ok(verdict) | Err(verdict)) = go_on(step, context);
    let verdict = if HEARS { listen(verdict, context, came, 0) } else { verdict };
    act(verdict, left.len + came.len(), |egress| match egress {
        Some(egress) => path::depart(frame, tables, came, egress),
        None => path::restore(frame, came),
    })
}

/// Listens to a frame that is passed: of the tags that it came in with, so many bytes are in it still.
#[inline(always)]
fn listen(verdict: Verdict, context: &XdpContext, came: Tags, tags: usize) -> Verdict {
    match verdict {
        Verdict::Pass(_) if hear(context.ctx, came.vlan().to_bits(), tags as u32) != 0 => {
            Verdict::Heard
        }
        verdict => verdict,
    }
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
        Verdict::Drop(_) | Verdict::Heard => {
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
