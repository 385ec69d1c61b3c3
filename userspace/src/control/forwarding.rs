//! Whether the kernel says how LAN hosts are reached.

use std::fs;

use super::{ControlledUplink, Controller};
use crate::config::{Inbound, Ipv6Mode};

/// What keeps packets that nobody has asked for from LAN hosts: the data plane asks the kernel where it
/// would forward them, and one that does not forward from the interface does not say.
///
/// Only the LAN's interface needs it. The kernel itself forwards nothing, as long as it is off for all
/// interfaces together.
pub(super) fn complaint(controller: &Controller) -> Option<String> {
    let takes_ipv4 = |uplink: &&ControlledUplink| {
        let routed = uplink.config().routed.as_ref();
        routed.is_some_and(|it| it.inbound == Inbound::All)
    };
    let takes_ipv6 = |uplink: &&ControlledUplink| {
        let ipv6 = uplink.config().ipv6.as_ref();
        let asks = [Ipv6Mode::Nptv6, Ipv6Mode::Nat66];
        ipv6.is_some_and(|it| it.inbound == Inbound::All || asks.contains(&it.mode))
    };
    let (interface, ..) = controller.lan_links().next()?;
    let uplinks = || controller.uplinks().iter();
    let takers = [
        ("IPv4", "ipv4", uplinks().find(takes_ipv4)),
        ("IPv6", "ipv6", uplinks().find(takes_ipv6)),
    ];
    let uplinks = takers.into_iter().filter_map(|(protocol, setting, user)| {
        Some((protocol, setting, format!("uplink {:?}", user?.config().name)))
    });
    // What comes in through NAT64 finds its host as IPv6 does.
    let nat64 = (controller.config().nat64.is_some()).then(|| ("IPv4", "ipv6", "NAT64".to_owned()));
    let (protocol, setting, user) =
        uplinks.chain(nat64).find(|(_, setting, _)| !is_on(setting, interface))?;
    Some(format!(
        "{user}: {protocol} packets that no LAN host has asked for do not reach any, because \
         {interface} does not forward; set it with `sysctl -w net.{setting}.conf.{interface}.forwarding=1`",
    ))
}

/// Whether a protocol is forwarded from an interface. Where that cannot be found out, nothing is to be
/// said.
fn is_on(protocol: &str, interface: &str) -> bool {
    // Dots of a name are separators elsewhere, not here.
    let value = fs::read_to_string(format!("/proc/sys/net/{protocol}/conf/{interface}/forwarding"));
    value.map_or(true, |value| value.trim() != "0")
}
