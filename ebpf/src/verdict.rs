//! What becomes of a packet, and why. The discriminants are the ABI's: they index counters.

use crate::abi::{CounterId, Direction};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Rewritten, and sent out of an interface.
    Forward {
        /// The egress interface's index in the device map.
        egress: u16,
        /// The uplink that it leaves or came in by.
        uplink: u8,
        /// Which way it goes.
        direction: Direction,
    },
    /// Sent from the LAN to the LAN, with nothing translated.
    Lan {
        /// The egress interface's index in the device map.
        egress: u16,
    },
    /// Handed to the kernel, byte for byte as it came in.
    Pass(PassReason),
    /// Dropped.
    Drop(DropReason),
    /// Dropped, and an ICMP message, or a reset of TCP, to the sender, which the frame now holds, is sent out
    /// of an interface.
    Answer {
        /// The egress interface's index in the device map.
        egress: u16,
        /// Why the packet was dropped.
        reason: DropReason,
    },
    /// Consumed: the other system of a BFD session says what it has said before, which the data plane takes
    /// note of by itself.
    Heard,
}

impl Verdict {
    /// The one counter that the packet is counted in.
    #[inline(always)]
    pub const fn counter(self) -> CounterId {
        match self {
            Self::Forward { uplink, direction, .. } => CounterId::forwarded(uplink, direction),
            Self::Lan { .. } => CounterId::across_lan(),
            Self::Pass(reason) => CounterId::passed(reason),
            Self::Drop(reason) => CounterId::dropped(reason),
            Self::Answer { reason, .. } => CounterId::answered(reason),
            Self::Heard => CounterId::heard(),
        }
    }
}

/// Defines an enum of reasons with a stable index, a name for people and machines, and a sentence.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// Every reason, by index.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The reason of this index, which is its discriminant.
            #[inline(always)]
            pub const fn from_index(index: u32) -> Option<Self> {
                $(if index == Self::$variant as u32 { return Some(Self::$variant); })+
                None
            }

            /// The name that metrics, JSON and tables use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

reasons! {
    /// Why a packet was dropped.
    DropReason {
        /// The frame ends before its headers do, or before the length that the IP header states.
        Truncated = "truncated",
        /// An IPv4 header with a wrong version or header length (RFC 1812 section 5.2.2).
        BadHeader = "bad_header",
        /// An IPv4 header with a wrong checksum (RFC 1812 section 5.2.2).
        BadChecksum = "bad_checksum",
        /// An address that must not cross a router (RFC 1812 section 5.3.7).
        Martian = "martian",
        /// The TTL is used up.
        TtlExceeded = "ttl_exceeded",
        /// A later fragment of a datagram whose first one has not passed (RFC 4787 section 11).
        FragmentWithoutFirst = "fragment_without_first",
        /// A fragment that overlaps the first one (RFC 3128).
        FragmentOverlap = "fragment_overlap",
        /// A first fragment that ends before its transport header does (RFC 1858).
        FragmentTiny = "fragment_tiny",
        /// A message of ICMP that is not translated.
        Icmp = "icmp",
        /// An ICMP error whose quoted packet is of no flow, or contradicts its addresses (RFC 5508
        /// section 4).
        IcmpMismatch = "icmp_mismatch",
        /// An IPv6 packet that is not for the gateway, where no uplink carries IPv6.
        Ipv6 = "ipv6",
        /// More IPv6 extension headers, or longer ones, than are looked through.
        ExtensionHeaders = "extension_headers",
        /// From an IPv6 address in the LAN that no uplink takes packets from (BCP 38).
        ForeignSource = "foreign_source",
        /// From an IPv6 address of a provider whose uplink cannot send at present (RFC 8678).
        SourceUplinkDown = "source_uplink_down",
        /// To or from an IPv6 address that has no translation: the words that it could differ in are all
        /// ones (RFC 6296 section 3.4).
        NoTranslation = "no_translation",
        /// To or from an IPv6 address whose translation would be a subnet's routers' (RFC 6296 section
        /// 3.5).
        AnycastTranslation = "anycast_translation",
        /// For an IPv6 address that no LAN interface leads to.
        NoLanRoute = "no_lan_route",
        /// With a source route that has hops left, which NAT64 does not translate (RFC 7915 sections 4.1
        /// and 5.1).
        SourceRoute = "source_route",
        /// For an IPv4 address that NAT64 does not lead to: the gateway's own, the LAN's, or one of a
        /// private network by the well-known prefix (RFC 6052 section 3.1).
        Nat64Destination = "nat64_destination",
        /// Of a kind that NAT64 does not translate: another protocol than TCP, UDP and ICMP echo, a
        /// fragment of ICMP, or one of UDP without a checksum (RFC 7915 sections 1.2 and 4.5).
        Nat64Untranslatable = "nat64_untranslatable",
        /// Of a protocol that cannot share an address.
        Nat66Protocol = "nat66_protocol",
        /// For a LAN host whose MAC the kernel does not know: it is asked to find it.
        NeighbourUnknown = "neighbour_unknown",
        /// A frame with a tag that names no VLAN, only a priority (IEEE 802.1Q): the kernel would
        /// take it for untagged, and might route it.
        PriorityTag = "priority_tag",
        /// From one LAN address to another, to which the kernel has no way by a LAN interface, or does
        /// not forward.
        LanToLan = "lan_to_lan",
        /// Part of no flow, and cannot open one: what comes from an uplink unasked and is not for
        /// the gateway itself, and replies and resets from the LAN.
        Unsolicited = "unsolicited",
        /// Of a flow that no uplink can take at present.
        NoUplink = "no_uplink",
        /// Of a connection that its uplink has lost, in a group that resets such: the sender was told by a
        /// reset.
        Reset = "reset",
        /// Of a flow that waits for its uplink to be alive again, as its group says.
        Held = "held",
        /// From a sender that the mapping takes nothing from (RFC 4787 section 5).
        Filtered = "filtered",
        /// For a forward's host, whose MAC is not known.
        ForwardUnresolved = "forward_unresolved",
        /// No public port is free.
        NoPort = "no_port",
        /// Another LAN host has this protocol's traffic with this remote address.
        AddressPairTaken = "address_pair_taken",
        /// Another CPU has made the mapping first.
        MappingRaced = "mapping_raced",
        /// The LAN host has as many mappings as it may.
        HostMappings = "host_mappings",
        /// The LAN host has as many unanswered flows as it may.
        HostUnreplied = "host_unreplied",
        /// The table of mappings is full: there are as many as there may be.
        MappingTableFull = "mapping_table_full",
        /// The table of unanswered flows is full.
        UnrepliedTableFull = "unreplied_table_full",
        /// The table of flows is full.
        FlowTableFull = "flow_table_full",
        /// Larger than the egress interface takes.
        TooBig = "too_big",
        /// The gateway is not configured yet.
        NotReady = "not_ready",
        /// The interface could not be redirected to, or the frame has no room for the interface's VLAN
        /// tags.
        Redirect = "redirect",
    }
}

reasons! {
    /// Why a packet was handed to the kernel.
    PassReason {
        /// Not IP: ARP, LLDP and all else.
        NotIp = "not_ip",
        /// A frame with a VLAN tag, which belongs to no interface that the gateway serves.
        Vlan = "vlan",
        /// Not sent to the interface's own MAC: broadcast, multicast, or to another station.
        NotForUs = "not_for_us",
        /// Addressed to the gateway itself.
        Local = "local",
        /// From one LAN address to another, whose MAC the kernel has to find first: it forwards the
        /// packet itself then.
        LanNeighbour = "lan_neighbour",
        /// From an interface that the gateway does not serve, or does not serve without tags.
        UnknownPort = "unknown_port",
    }
}
