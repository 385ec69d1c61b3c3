//! The path of a packet.
//!
//! 1. Parse (`parse.rs`): Ethernet, IPv4 with options and fragments, TCP, UDP, ICMP, all else.
//! 2. Not sent to the interface's MAC, or not IP: to the kernel untouched.
//! 3. Flow (`flow.rs`): ONE hash look-up decides an established packet, in either direction.
//! 4. On a miss, by where the packet came from: from the LAN an unanswered flow (`outbound.rs`), one that
//!    its uplink has lost (`lost.rs`), or a new one (`opening.rs`): group, bucket and uplink (`select.rs`), a
//!    mapping (`mapping.rs`); by an uplink (`inbound.rs`) the answer to an unanswered flow, or something for
//!    a mapping or a forward; from the LAN to a public address (`hairpin.rs`). An answer makes the flow an
//!    established one (`entry.rs`).
//! 5. Translate (`translate.rs`): addresses, ports, TTL, the maximum segment size (`mss.rs`), and
//!    checksums by their difference.
//! 6. Forward (`forward.rs`): MACs, VLAN tags (`tagged.rs`), egress, counter.
//!
//! IPv4 of a prefix that is the site's own is not translated (`routed/`): it takes the same steps, by stages
//! of its own where there is no established flow.
//!
//! From one LAN address to another nothing is translated or remembered (`lan.rs`): the kernel's routes say
//! where it goes. The LAN's addresses are those on the links of its interfaces and those behind routers
//! there: no uplink takes a packet to one, and none that is from one is let in by it. Later fragments have
//! no ports, and go the way of the first (`fragment.rs`). ICMP errors go the way of the packet that they
//! quote (`error.rs`). Some of what is dropped is answered by an ICMP error of the gateway's own (`answer.rs`).
//!
//! IPv6 goes the same steps, by stages of its own (`ipv6/`): its addresses are translated by prefix or
//! not at all, so a flow is only pinned to an uplink; or LAN hosts share an address (`ipv6/nat66/`).
//! Between IPv6 in the LAN and IPv4 beyond the uplinks there are stages of their own too (`nat64/`), by the
//! tables of IPv4's flows and mappings.
//!
//! The path is cut into [`Stage`]s, each a BPF program of its own that the one before ends in, so
//! that none runs short of stack, the verifier checks each alone, and the frequent stage, that of
//! established packets, is small. What the first one has parsed, the others get handed.
//! Connections that LAN hosts start show how an uplink does (`handshake.rs`).
//! What is handed to the kernel may be of a BFD session of the gateway's own, and put off when an uplink is
//! held for dead (`liveness.rs`).
//!
//! Whether a packet is for the gateway itself is asked after the flow look-up, not before: the
//! ports that translation hands out are not the kernel's, so a hit is never a packet of the
//! gateway's own.
//!
//! Invariant: all look-ups come first, and the packet is changed last. What is passed to the kernel
//! is byte for byte what came in.
//! Invariant: from the LAN nothing leaves untranslated but what an uplink is to route. Besides ARP and the like, broadcasts, and
//! tagged frames of interfaces that are not served, only what is addressed to the gateway reaches
//! the kernel.

mod answer;
mod entry;
mod error;
mod established;
mod flow;
mod forward;
mod fragment;
mod hairpin;
mod handshake;
mod inbound;
mod ipv6;
mod lan;
mod liveness;
mod lost;
mod mapping;
mod mss;
mod nat64;
mod opening;
mod outbound;
mod parse;
mod process;
mod reset;
mod routed;
mod select;
mod tables;
mod tagged;
mod translate;

pub use established::established;
pub use handshake::{syn_answered, syn_sent};
pub use inbound::find_forward;
pub use ipv6::{
    Packet6, answer as answer6, error as error6, established as established6,
    fragment as fragment6, hairpin as hairpin6, inbound as inbound6, invitation as invitation6,
    lost as lost6,
    nat66::{
        error_in as error_in66, error_out as error_out66, inbound as inbound66,
        invitation as invitation66, mapping as mapping66, moved as moved66, opening as opening66,
        promotion as promotion66,
    },
    opening as opening6, outbound as outbound6,
};
pub use liveness::hear;
pub use nat64::{
    entry as entry64, error_in as error_in64, error_out as error_out64, inbound as inbound64,
    invitation as invitation64, known as known64, lost as lost64, mapping as mapping64,
    moved as moved64, opening as opening64, outbound as outbound64, promotion as promotion64,
    reply as reply64,
};
pub use parse::Packet;
pub use process::process;
pub use select::{bucket_of, bucket_of6};
pub use tables::{FlowTable, InsertError, NextHop, Tables, Tables6};
pub use tagged::{depart, restore, tagged};

use core::hint::black_box;

use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::Frame;

/// A part of the path. The discriminants are the ABI's: the slots of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Packets of established flows: where every packet starts, but where [`Self::Tagged`] is.
    Established = 0,
    /// From the LAN.
    Outbound = 1,
    /// From the LAN, and of no flow.
    Opening = 2,
    /// Of a flow that has no mapping.
    Mapping = 3,
    /// From an uplink.
    Inbound = 4,
    /// From the LAN to a public address, of a flow.
    Hairpin = 5,
    /// From the LAN to a public address, and perhaps of no flow.
    HairpinOpening = 6,
    /// Later fragments.
    Fragment = 7,
    /// ICMP errors.
    Error = 8,
    /// An ICMP error of the gateway's own.
    Answer = 9,
    /// IPv6 of established flows: where every packet of IPv6 goes from the first stage.
    Ipv6 = 10,
    /// IPv6 from the LAN.
    Outbound6 = 11,
    /// IPv6 from the LAN, and of no flow.
    Opening6 = 12,
    /// IPv6 from an uplink.
    Inbound6 = 13,
    /// IPv6 from an uplink, and of no flow.
    Invitation6 = 14,
    /// IPv6 from the LAN to the LAN, by a public address or not.
    Hairpin6 = 15,
    /// Later fragments of IPv6.
    Fragment6 = 16,
    /// ICMPv6 errors.
    Error6 = 17,
    /// An ICMPv6 error of the gateway's own.
    Answer6 = 18,
    /// From the LAN to the LAN.
    Lan = 19,
    /// Packets of established flows in frames with a VLAN tag: where all frames with tags go from the
    /// first stage, or start where all that concerns the gateway has tags.
    Tagged = 20,
    /// The same of IPv6.
    Tagged6 = 21,
    /// Packets of established flows in frames with two tags.
    Stacked = 22,
    /// The same of IPv6.
    Stacked6 = 23,
    /// IPv6 from the LAN to an address that stands for one of IPv4.
    Outbound64 = 24,
    /// The same, and of no flow.
    Opening64 = 25,
    /// The same, of a flow that has no mapping.
    Mapping64 = 26,
    /// ICMPv6 errors from the LAN about what came from IPv4.
    ErrorOut64 = 27,
    /// IPv4 from an uplink, for a host of IPv6.
    Inbound64 = 28,
    /// The same, and of no flow.
    Invitation64 = 29,
    /// ICMP errors from an uplink about what came from IPv6.
    ErrorIn64 = 30,
    /// IPv6 from the LAN to an address that stands for one of IPv4, and not of an established flow, or
    /// needing more than that.
    Known64 = 31,
    /// The same, and of no flow, its uplink chosen.
    Entry64 = 32,
    /// IPv4 from an uplink, for a host of IPv6, and of no established flow.
    Reply64 = 33,
    /// IPv6 from the LAN to an address that stands for one of IPv4, of a flow whose host has moved.
    Moved64 = 34,
    /// IPv4 from an uplink, for a host of IPv6: the answer to a flow that nobody has answered.
    Promotion64 = 35,
    /// From the LAN, from a prefix that is routed as it is, and of no flow that can go on.
    RoutedOpening = 36,
    /// From an uplink, for a prefix that is routed as it is.
    RoutedInbound = 37,
    /// From an uplink, for a prefix that is routed as it is, and of no flow.
    RoutedInvitation = 38,
    /// IPv6 from the LAN, of no flow, by an uplink whose address LAN hosts share.
    Opening66 = 39,
    /// The same, of a flow that has no mapping.
    Mapping66 = 40,
    /// The same, of a flow whose host has moved.
    Moved66 = 41,
    /// IPv6 from an uplink, for the address that LAN hosts share, and of no established flow.
    Inbound66 = 42,
    /// The same, and of no flow.
    Invitation66 = 43,
    /// The answer to a flow by such an address that nobody has answered, from either side.
    Promotion66 = 44,
    /// ICMPv6 errors from the LAN about what came in by such an address.
    ErrorOut66 = 45,
    /// ICMPv6 errors from an uplink about what left by such an address.
    ErrorIn66 = 46,
    /// From the LAN, of an established flow that its uplink has lost.
    Lost = 47,
    /// The same of IPv6.
    Lost6 = 48,
    /// The same, from IPv6 to an address that stands for one of IPv4.
    Lost64 = 49,
}

impl Stage {
    /// Every stage, by discriminant.
    pub const ALL: [Self; 50] = [
        Self::Established,
        Self::Outbound,
        Self::Opening,
        Self::Mapping,
        Self::Inbound,
        Self::Hairpin,
        Self::HairpinOpening,
        Self::Fragment,
        Self::Error,
        Self::Answer,
        Self::Ipv6,
        Self::Outbound6,
        Self::Opening6,
        Self::Inbound6,
        Self::Invitation6,
        Self::Hairpin6,
        Self::Fragment6,
        Self::Error6,
        Self::Answer6,
        Self::Lan,
        Self::Tagged,
        Self::Tagged6,
        Self::Stacked,
        Self::Stacked6,
        Self::Outbound64,
        Self::Opening64,
        Self::Mapping64,
        Self::ErrorOut64,
        Self::Inbound64,
        Self::Invitation64,
        Self::ErrorIn64,
        Self::Known64,
        Self::Entry64,
        Self::Reply64,
        Self::Moved64,
        Self::Promotion64,
        Self::RoutedOpening,
        Self::RoutedInbound,
        Self::RoutedInvitation,
        Self::Opening66,
        Self::Mapping66,
        Self::Moved66,
        Self::Inbound66,
        Self::Invitation66,
        Self::Promotion66,
        Self::ErrorOut66,
        Self::ErrorIn66,
        Self::Lost,
        Self::Lost6,
        Self::Lost64,
    ];

    /// The name of its program in the object.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Established => "pointsman",
            Self::Outbound => "pointsman_outbound",
            Self::Opening => "pointsman_opening",
            Self::Mapping => "pointsman_mapping",
            Self::Inbound => "pointsman_inbound",
            Self::Hairpin => "pointsman_hairpin",
            Self::HairpinOpening => "pointsman_hairpin_opening",
            Self::Fragment => "pointsman_fragment",
            Self::Error => "pointsman_error",
            Self::Answer => "pointsman_answer",
            Self::Ipv6 => "pointsman_ipv6",
            Self::Outbound6 => "pointsman_outbound6",
            Self::Opening6 => "pointsman_opening6",
            Self::Inbound6 => "pointsman_inbound6",
            Self::Invitation6 => "pointsman_invitation6",
            Self::Hairpin6 => "pointsman_hairpin6",
            Self::Fragment6 => "pointsman_fragment6",
            Self::Error6 => "pointsman_error6",
            Self::Answer6 => "pointsman_answer6",
            Self::Lan => "pointsman_lan",
            Self::Tagged => "pointsman_tagged",
            Self::Tagged6 => "pointsman_tagged6",
            Self::Stacked => "pointsman_stacked",
            Self::Stacked6 => "pointsman_stacked6",
            Self::Outbound64 => "pointsman_outbound64",
            Self::Opening64 => "pointsman_opening64",
            Self::Mapping64 => "pointsman_mapping64",
            Self::ErrorOut64 => "pointsman_error_out64",
            Self::Inbound64 => "pointsman_inbound64",
            Self::Invitation64 => "pointsman_invitation64",
            Self::ErrorIn64 => "pointsman_error_in64",
            Self::Known64 => "pointsman_known64",
            Self::Entry64 => "pointsman_entry64",
            Self::Reply64 => "pointsman_reply64",
            Self::Moved64 => "pointsman_moved64",
            Self::Promotion64 => "pointsman_promotion64",
            Self::RoutedOpening => "pointsman_routed_opening",
            Self::RoutedInbound => "pointsman_routed_inbound",
            Self::RoutedInvitation => "pointsman_routed_invitation",
            Self::Opening66 => "pointsman_opening66",
            Self::Mapping66 => "pointsman_mapping66",
            Self::Moved66 => "pointsman_moved66",
            Self::Inbound66 => "pointsman_inbound66",
            Self::Invitation66 => "pointsman_invitation66",
            Self::Promotion66 => "pointsman_promotion66",
            Self::ErrorOut66 => "pointsman_error_out66",
            Self::ErrorIn66 => "pointsman_error_in66",
            Self::Lost => "pointsman_lost",
            Self::Lost6 => "pointsman_lost6",
            Self::Lost64 => "pointsman_lost64",
        }
    }
}

/// What a stage ends in.
#[derive(Clone, Copy)]
#[must_use]
pub enum Step<'p, D = Verdict, P = Packet> {
    /// The packet is decided, and rewritten. The caller counts it ([`Verdict::counter`]) and acts.
    Done(D),
    /// Another stage goes on, with what was parsed of the packet, and word from this one.
    Next(Stage, &'p P, Note),
}

/// What happens to a packet that is decided.
pub trait End {
    /// What is left then.
    type Done;

    /// Whatever the verdict on the frame calls for.
    fn done<F: Frame>(&self, frame: &mut F, verdict: Verdict) -> Self::Done;
}

/// What one stage of a packet's path tells the next. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Note(u64);

impl Note {
    const NOTHING: Self = Self(0);

    /// The packet is dropped; of one that is too big, for this MTU.
    #[inline(always)]
    const fn dropped(reason: DropReason, mtu: u16) -> Self {
        Self(reason as u64 | (mtu as u64) << 32)
    }

    /// The reason and the MTU of [`Self::dropped`].
    #[inline(always)]
    fn reason(self) -> (DropReason, u16) {
        let reason = DropReason::from_index(self.0 as u32).unwrap_or(DropReason::NotReady);
        (reason, (self.0 >> 32) as u16)
    }

    /// The packet's key is not in the table of established flows: what was looked up once is not
    /// looked up again.
    const MISSED: Self = Self(1 << 40);

    /// The packet's flow was made, or written anew, by the stage before.
    const OPENED: Self = Self(1 << 41);

    /// The packet's flow has lost its uplink, and goes over to another.
    const GOES_OVER: Self = Self(1 << 42);

    #[inline(always)]
    const fn is_missed(self) -> bool {
        self.0 & Self::MISSED.0 != 0
    }

    /// The packet's flow wants a mapping on this uplink, on the way to a LAN host or not. What this
    /// note says of the packet's key stays.
    #[inline(always)]
    const fn with_mapping(self, uplink: u8, hairpin: bool) -> Self {
        Self(self.0 & Self::MISSED.0 | uplink as u64 | (hairpin as u64) << 32)
    }

    /// The uplink, and what goes on, of [`Self::with_mapping`].
    #[inline(always)]
    const fn wanted_mapping(self) -> (u8, Stop) {
        let hairpin = self.0 >> 32 & 1 != 0;
        let back = if hairpin { Stage::HairpinOpening } else { Stage::Opening };
        (self.0 as u8, Stop::Next(back, Self(self.0 & Self::MISSED.0)))
    }
}

/// Why a packet does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Pass(PassReason),
    Drop(DropReason),
    /// Dropped, and the sender is told, if it may be; of a packet that is too big, with the MTU.
    Answer(DropReason, u16),
    /// It is for another stage, with word from this one.
    Next(Stage, Note),
}

impl Stop {
    /// It is for another stage, which there is nothing to tell.
    #[inline(always)]
    const fn to(stage: Stage) -> Self {
        Self::Next(stage, Note::NOTHING)
    }
}

impl From<DropReason> for Stop {
    #[inline(always)]
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

impl From<PassReason> for Stop {
    #[inline(always)]
    fn from(reason: PassReason) -> Self {
        Self::Pass(reason)
    }
}

/// What a stage ends in, whose messages to senders are those of the stage `answer`.
#[inline(always)]
fn step<P>(result: Result<Verdict, Stop>, packet: &P, answer: Stage) -> Step<'_, Verdict, P> {
    match result {
        Ok(verdict) => Step::Done(verdict),
        Err(Stop::Pass(reason)) => Step::Done(Verdict::Pass(reason)),
        Err(Stop::Drop(reason)) => Step::Done(Verdict::Drop(reason)),
        Err(Stop::Answer(reason, mtu)) => {
            // The compiler would take the MTU's bits out of a register before it knows that there is one.
            Step::Next(answer, packet, Note::dropped(reason, black_box(mtu)))
        }
        Err(Stop::Next(stage, note)) => Step::Next(stage, packet, note),
    }
}

macro_rules! stages {
    ($tables:ident, $packet:ident, $answer:path;
     $($(#[$doc:meta])+ $name:ident: $run:path,)+) => {$(
        $(#[$doc])+
        #[inline(always)]
        pub fn $name<'p, F: Frame, T: $tables>(
            frame: &mut F,
            tables: &T,
            port: crate::abi::PortKey,
            packet: &'p $packet,
            note: Note,
        ) -> Step<'p, Verdict, $packet> {
            match tables.port(port) {
                Some(port) => step($run(frame, tables, port, packet, note), packet, $answer),
                None => Step::Done(Verdict::Pass(PassReason::UnknownPort)),
            }
        }
    )+};
}
use stages;

stages! {
    Tables, Packet, Stage::Answer;
    /// [`Stage::Outbound`].
    outbound: outbound::run,
    /// [`Stage::Lost`].
    lost: lost::run,
    /// [`Stage::Opening`].
    opening: opening::run,
    /// [`Stage::Mapping`].
    mapping: mapping::run,
    /// [`Stage::Inbound`].
    inbound: inbound::run,
    /// [`Stage::Hairpin`].
    hairpin: hairpin::run,
    /// [`Stage::HairpinOpening`].
    hairpin_opening: hairpin::open,
    /// [`Stage::Fragment`].
    fragment: fragment::run,
    /// [`Stage::Error`].
    error: error::run,
    /// [`Stage::RoutedOpening`].
    routed_opening: routed::opening,
    /// [`Stage::RoutedInbound`].
    routed_inbound: routed::inbound,
    /// [`Stage::Answer`].
    answer: answer::run,
}

stages! {
    Tables6, Packet, Stage::Answer;
    /// [`Stage::Lan`].
    lan: lan::run,
    /// [`Stage::RoutedInvitation`].
    routed_invitation: routed::invitation,
}
