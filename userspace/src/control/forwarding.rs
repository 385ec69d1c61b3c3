//! Whether the kernel says how LAN hosts are reached.

use std::fs;

use super::Controller;
use crate::config::{Inbound, Ipv6Mode};

/// What keeps packets of IPv6 that nobody has asked for from LAN hosts: the data plane asks the kernel
/// where it would forward them, and one that does not forward from the interface does not say.
///
/// Only the LAN's interface needs it. The kernel itself forwards nothing, as long as it is off for all
/// interfaces together.
pub(super) fn complaint(controller: &Controller) -> Option<String> {
    let needs = |uplink: &super::ControlledUplink| {
        let ipv6 = uplink.config().ipv6.as_ref();
        ipv6.is_some_and(|it| it.inbound == Inbound::All || it.mode == Ipv6Mode::Nptv6)
    };
    let user = controller.uplinks().iter().find(|uplink| needs(uplink))?;
    let (interface, ..) = controller.lan_links().next()?;
    (!is_on(interface)).then(|| {
        format!(
            "uplink {:?}: IPv6 packets that no LAN host has asked for do not reach any, because \
             {interface} does not forward; set it with `sysctl -w net.ipv6.conf.{interface}.forwarding=1`",
            user.config().name
        )
    })
}

/// Whether IPv6 is forwarded from an interface. Where that cannot be found out, nothing is to be said.
fn is_on(interface: &str) -> bool {
    // Dots of a name are separators elsewhere, not here.
    let value = fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/forwarding"));
    value.map_or(true, |value| value.trim() != "0")
}
