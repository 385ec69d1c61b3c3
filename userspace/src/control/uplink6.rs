use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use ipnet::Ipv6Net;
use pointsman_ebpf::abi::{Inbound, Ipv6, Ipv6Mode, Mac, MacPair, PrefixTranslation, Uplink6};

use super::address6;
use super::attachment::Attachment;
use super::inquiry::Inquiry;
use super::uplink::packet_size;
use crate::config::{self, Gateway6};
use crate::netlink::Snapshot;
use crate::probe::Side;

/// What an uplink needs to carry IPv6, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Ipv6Side {
    ifindex: Option<u32>,
    gateway: Option<Ipv6Addr>,
    gateway_mac: Option<[u8; 6]>,
    /// What the LAN's hosts share, where they do.
    address: Option<Ipv6Addr>,
    /// Where the gateway's own packets come from.
    source: Option<Ipv6Addr>,
    /// The link-local address of the interface.
    link_local: Option<Ipv6Addr>,
    inquiry: Inquiry,
    /// What the data plane is to know: the last that was complete.
    record: Option<Uplink6>,
    /// What the provider routed here then.
    prefixes: Vec<Ipv6Net>,
}

/// What counts for an uplink that is not its own.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The LAN's prefix, where the configuration does not say it.
    pub(super) internal: Option<Ipv6Net>,
    /// The addresses that hosts share on the uplinks before this one. What comes in for an address is
    /// known by that alone.
    pub(super) taken: &'a [Ipv6Addr],
}

impl Ipv6Side {
    /// Goes on with what another has left in the data plane.
    pub(super) fn inherit(&mut self, record: Option<Uplink6>) {
        self.record = record;
        let address = record.map(|record| record.address).filter(|it| *it != Ipv6::default());
        self.address = address.map(|address| address.octets().into());
    }

    /// Takes in what the kernel knows of the uplink's interface. `gateway_mac` is the next hop's where the
    /// configuration says it.
    pub(super) fn refresh(
        &mut self,
        config: &config::Ipv6,
        Surroundings { internal, taken }: Surroundings<'_>,
        facts: &Snapshot,
        attachment: &Attachment<'_>,
        gateway_mac: Option<[u8; 6]>,
        generation: &mut impl FnMut() -> u32,
    ) {
        self.ifindex = attachment.own.map(|(index, _)| index);
        self.gateway = match config.gateway {
            Gateway6::Address(address) => Some(address),
            Gateway6::Auto => self.ifindex.and_then(|index| facts.default_gateway6(index)),
        };
        self.address = self.choose_address(config, facts, taken);
        self.source = self.choose_source(config, facts);
        let own = self.ifindex.into_iter().flat_map(|index| facts.ipv6_addresses(index));
        self.link_local = own.map(|(own, _)| own).find(Ipv6Addr::is_unicast_link_local);
        // By another mode would leave what this one is to translate.
        self.record = self.record.filter(|record| record.mode == mode_of(config) as u8);
        let running = attachment.is(|link| link.admin_up && link.carrier);
        if !running {
            self.inquiry.forget();
        }
        let next_hop = self.ifindex.zip(self.gateway);
        let resolution = next_hop.map(|(index, gateway)| facts.resolution(index, gateway));
        let asks = gateway_mac.is_none()
            && resolution.is_some_and(|resolution| running && resolution.wants_resolving());
        self.inquiry.want(asks);
        self.gateway_mac = gateway_mac.or_else(|| resolution.and_then(|found| found.mac()));
        let (Some(own_mac), Some(gateway_mac)) = (attachment.mac(), self.gateway_mac) else {
            return;
        };
        let Some(wanted) = describe(config, internal, self.address) else {
            return;
        };
        let of = |record: &Uplink6| (record.translation, record.address);
        let has_all = |old: &[Ipv6Net]| old.iter().all(|old| config.prefixes.contains(old));
        let generation = match &self.record {
            // What is sent from a prefix that is gone would go on: nothing asks for that of a flow.
            Some(old) if of(old) == of(&wanted) && has_all(&self.prefixes) => old.generation,
            _ => generation(),
        };
        self.record = Some(Uplink6 {
            generation,
            mtu: packet_size(attachment.mtu()),
            macs: MacPair::new(Mac::new(gateway_mac), Mac::new(own_mac)),
            ..wanted
        });
        self.prefixes.clone_from(&config.prefixes);
    }

    /// The address that is configured, or one of the interface's, if hosts share one; none that is `taken`.
    fn choose_address(
        &self,
        config: &config::Ipv6,
        facts: &Snapshot,
        taken: &[Ipv6Addr],
    ) -> Option<Ipv6Addr> {
        let is_free = |address: &Ipv6Addr| !taken.contains(address);
        match (config.mode, config.address) {
            (config::Ipv6Mode::Nat66, None) => {
                let addresses = facts.ranked_ipv6_addresses(self.ifindex?);
                address6::choose(addresses.filter(|(address, _)| is_free(address)), self.address)
            }
            (config::Ipv6Mode::Nat66, address) => address.filter(is_free),
            _ => None,
        }
    }

    /// One of the interface's own addresses; else one that the kernel has elsewhere, of the uplink's
    /// prefixes: a provider that gives a prefix may give its link no address.
    fn choose_source(&self, config: &config::Ipv6, facts: &Snapshot) -> Option<Ipv6Addr> {
        let own = address6::choose(facts.ranked_ipv6_addresses(self.ifindex?), self.source);
        let routed = || {
            facts.local_addresses().find_map(|address| match address {
                IpAddr::V6(address) => {
                    let is_routed = |prefix: &Ipv6Net| prefix.contains(&address);
                    config.prefixes.iter().any(is_routed).then_some(address)
                }
                IpAddr::V4(_) => None,
            })
        };
        own.or_else(routed)
    }

    /// The interface and the address of which the kernel is to find the MAC now, if any.
    pub(super) fn resolution_due(&mut self, now: Instant) -> Option<(u32, Ipv6Addr)> {
        let wanted = self.ifindex.zip(self.gateway)?;
        self.inquiry.is_due(now).then_some(wanted)
    }

    /// What probes by IPv6 need to know.
    pub(super) fn path(&self) -> Side<Ipv6Addr> {
        let Self { source, gateway, gateway_mac, .. } = *self;
        Side { source, gateway, gateway_mac }
    }

    /// The link-local address of the interface, where it has one.
    pub(super) fn link_local(&self) -> Option<Ipv6Addr> {
        self.link_local
    }

    /// The next hop, where known.
    pub(super) fn gateway(&self) -> Option<Ipv6Addr> {
        self.gateway
    }

    /// The next hop's MAC, where known.
    pub(super) fn gateway_mac(&self) -> Option<[u8; 6]> {
        self.gateway_mac
    }

    /// The address that the LAN's hosts share, where they do and it is known.
    pub(super) fn address(&self) -> Option<Ipv6Addr> {
        self.address
    }

    /// What the data plane is to know, with this egress slot, once all of it is known. What is sent from
    /// an address that is lost gets no answer, so another uplink is to take it; if the address comes back,
    /// its flows go on.
    pub(super) fn to_record(&self, egress: u16) -> Option<Uplink6> {
        let address = self.address.map(to_entry).unwrap_or_default();
        let record = self.record.filter(|record| record.address == address)?;
        Some(Uplink6 { egress, ..record })
    }
}

/// What follows from the configuration, and from the address that hosts share. Nothing where that or a
/// prefix is missing.
fn describe(
    config: &config::Ipv6,
    internal: Option<Ipv6Net>,
    address: Option<Ipv6Addr>,
) -> Option<Uplink6> {
    let translation = match config.mode {
        config::Ipv6Mode::Nptv6 => {
            let internal = config.internal.or(internal)?;
            let external = config.prefixes.first()?;
            PrefixTranslation::new(to_prefix(&internal), to_prefix(external))
        }
        config::Ipv6Mode::Routed | config::Ipv6Mode::Source => PrefixTranslation::default(),
        config::Ipv6Mode::Nat66 => {
            // Else there is nobody whose address it would take the place of.
            config.internal.or(internal)?;
            address?;
            PrefixTranslation::default()
        }
    };
    let inbound = match config.inbound {
        config::Inbound::Answers => Inbound::Answers,
        config::Inbound::All => Inbound::All,
    };
    Some(Uplink6 {
        mode: mode_of(config) as u8,
        inbound: inbound as u8,
        translation,
        address: address.map(to_entry).unwrap_or_default(),
        ..Uplink6::default()
    })
}

fn mode_of(config: &config::Ipv6) -> Ipv6Mode {
    match config.mode {
        config::Ipv6Mode::Nptv6 => Ipv6Mode::Nptv6,
        config::Ipv6Mode::Routed => Ipv6Mode::Routed,
        config::Ipv6Mode::Source => Ipv6Mode::Source,
        config::Ipv6Mode::Nat66 => Ipv6Mode::Nat66,
    }
}

fn to_prefix(prefix: &Ipv6Net) -> (Ipv6, u8) {
    (to_entry(prefix.network()), prefix.prefix_len())
}

fn to_entry(address: Ipv6Addr) -> Ipv6 {
    Ipv6::new(address.octets())
}
