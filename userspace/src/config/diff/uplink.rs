use std::net::Ipv4Addr;

use super::super::suggest::quoted;
use super::super::{Gateway, Gateway6, Ipv6, Ipv6Mode, Routed, Uplink};
use super::{Differ, Effect, Pair, health, spelling};

/// By name; one that has another name on the same port is renamed.
pub(super) fn uplinks(differ: &mut Differ, (old, new): Pair<'_, Vec<Uplink>>) {
    let mut stay: Vec<&str> = Vec::new();
    for uplink in new {
        let before = uplink.predecessor(old, new);
        let label = format!("uplink {}", quoted(&uplink.name));
        if let Some(before) = before {
            stay.push(&before.name);
            differ.below(&format!("{label}: "), |differ| one(differ, (before, uplink)));
        } else {
            differ.push(&label, None, Some(on(uplink)), Effect::NewFlowsShared);
        }
    }
    for uplink in old.iter().filter(|uplink| !stay.contains(&&*uplink.name)) {
        let label = format!("uplink {}", quoted(&uplink.name));
        differ.push(&label, Some(on(uplink)), None, Effect::FlowsMove);
    }
    let kept = old.iter().map(|uplink| &*uplink.name).filter(|name| stay.contains(name));
    let kept: Vec<&str> = kept.collect();
    let spell = |names: &Vec<&str>| spelling::list(names);
    differ.value("order of the uplinks", (&kept, &stay), Effect::FlowsStay, spell);
}

fn on(uplink: &Uplink) -> String {
    format!("on {}", uplink.port_name())
}

fn one(differ: &mut Differ, (old, new): Pair<'_, Uplink>) {
    let Uplink {
        name,
        interface,
        vlan,
        gateway,
        gateway_mac,
        weight,
        metered,
        nat44,
        addresses,
        routed,
        ipv6,
        health,
    } = old;
    let renamed = if has_session(old) { Effect::SessionAnew } else { Effect::NewFlowsShared };
    differ.value("name", (name, &new.name), renamed, spelling::text);
    let moved = Effect::InterfaceChanges;
    differ.value("interface", (interface, &new.interface), moved, spelling::text);
    differ.value("vlan", (vlan, &new.vlan), moved, spelling::vlan);
    let stay = Effect::FlowsStay;
    differ.value("gateway", (gateway, &new.gateway), stay, |gateway| match gateway {
        Gateway::Auto => spelling::text("auto"),
        Gateway::Address(address) => spelling::text(address),
    });
    differ.option("gateway_mac", (gateway_mac, &new.gateway_mac), stay, spelling::mac);
    differ.value("weight", (weight, &new.weight), Effect::NewFlowsShared, spelling::plain);
    differ.value("metered", (metered, &new.metered), stay, spelling::plain);
    differ.below("ipv4.", |differ| {
        differ.value("mode", (nat44, &new.nat44), Effect::FlowsMove, |nat44| {
            spelling::text(if *nat44 { "nat44" } else { "routed" })
        });
        let addresses = (addresses, &new.addresses);
        differ.value("addresses", addresses, Effect::AddressesChange, spell_addresses);
        routes(differ, (routed.as_ref(), new.routed.as_ref()));
    });
    match (ipv6, &new.ipv6) {
        (Some(old), Some(new)) => {
            differ.below("ipv6.", |differ| carried_ipv6(differ, (old, new)));
        }
        either => differ.option("ipv6", either, Effect::Ipv6Changes, |ipv6| mode(&ipv6.mode)),
    }
    health::of_uplink(differ, (health.as_ref(), new.health.as_ref()));
}

fn has_session(uplink: &Uplink) -> bool {
    uplink.health.as_ref().is_some_and(|health| health.bfd.is_some())
}

fn spell_addresses(addresses: &Vec<Ipv4Addr>) -> String {
    if addresses.is_empty() { "the interface's own".to_owned() } else { spelling::list(addresses) }
}

fn routes(differ: &mut Differ, (old, new): (Option<&Routed>, Option<&Routed>)) {
    let prefixes = |routed: &Routed| spelling::one_or_list(&routed.prefixes);
    let (Some(old), Some(new)) = (old, new) else {
        return differ
            .option("routed", (&old, &new), Effect::RoutedAnew, |routed| prefixes(routed));
    };
    let Routed { prefixes: old_prefixes, inbound } = old;
    let both = (old_prefixes, &new.prefixes);
    differ.value("routed", both, Effect::RoutedAnew, |it| spelling::one_or_list(it));
    differ.value("inbound", (inbound, &new.inbound), Effect::FlowsStay, spelling::inbound);
}

fn carried_ipv6(differ: &mut Differ, (old, new): Pair<'_, Ipv6>) {
    let Ipv6 { mode: old_mode, prefixes, address, internal, inbound, gateway } = old;
    let anew = Effect::Ipv6Changes;
    differ.value("mode", (old_mode, &new.mode), anew, mode);
    // Without translation, only what is from a prefix that is gone finds no uplink.
    let translates = [old, new].iter().any(|ipv6| ipv6.mode == Ipv6Mode::Nptv6);
    let renumbered = if translates { anew } else { Effect::RoutedAnew };
    let spell = |prefixes: &Vec<_>| spelling::one_or_list(prefixes);
    differ.value("prefix", (prefixes, &new.prefixes), renumbered, spell);
    let both = (&address.as_ref(), &new.address.as_ref());
    if both.0 != both.1 {
        // Without one, it is the interface's own.
        let spell = |address: &Option<_>| {
            address.map_or_else(|| "the interface's own".to_owned(), spelling::text)
        };
        differ.value("address", both, anew, spell);
    }
    differ.value("internal", (internal, &new.internal), anew, |prefix| {
        prefix.as_ref().map_or_else(|| "the LAN's own".to_owned(), spelling::text)
    });
    differ.value("inbound", (inbound, &new.inbound), Effect::FlowsStay, spelling::inbound);
    differ.value("gateway", (gateway, &new.gateway), Effect::FlowsStay, |gateway| match gateway {
        Gateway6::Auto => spelling::text("auto"),
        Gateway6::Address(address) => spelling::text(address),
    });
}

fn mode(mode: &Ipv6Mode) -> String {
    let name = match mode {
        Ipv6Mode::Nptv6 => "nptv6",
        Ipv6Mode::Routed => "routed",
        Ipv6Mode::Source => "source",
        Ipv6Mode::Nat66 => "nat66",
    };
    spelling::text(name)
}
