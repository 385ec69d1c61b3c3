//! The tables of the file beside those of uplinks.

use pointsman_ebpf::abi::{Filtering, OnFailure, Sticky};

use super::super::{
    Api, Forward, Group, Host, Lan, LastResort, Nat, Offloads, State, TableSizes, Timers, Uplink,
};
use super::{Differ, Effect, Pair, spelling};

pub(super) fn lan(differ: &mut Differ, (old, new): Pair<'_, Lan>) {
    let Lan { interfaces } = old;
    let leave = interfaces.iter().any(|old| !new.interfaces.contains(old));
    let effect = if leave { Effect::HostsLeave } else { Effect::FlowsStay };
    let both = (interfaces, &new.interfaces);
    differ.value("lan.interfaces", both, effect, |names| spelling::list(names));
}

pub(super) fn group(
    differ: &mut Differ,
    (old, new): Pair<'_, Group>,
    (old_uplinks, new_uplinks): Pair<'_, Vec<Uplink>>,
) {
    let Group { name, tiers, sticky, on_failure, last_resort, failback } = old;
    let shared = Effect::NewFlowsShared;
    differ.value("group name", (name, &new.name), Effect::FlowsStay, spelling::text);
    differ.below(&format!("group {}: ", spelling::text(&new.name)), |differ| {
        let tiers = (&named(tiers, old_uplinks), &named(&new.tiers, new_uplinks));
        differ.value("uplinks", tiers, shared, |tiers| {
            let tiers: Vec<_> = tiers.iter().map(spelling::list).collect();
            format!("[{}]", tiers.join(", "))
        });
        differ.value("sticky", (sticky, &new.sticky), shared, |sticky| {
            spelling::text(match sticky {
                Sticky::Flow => "flow",
                Sticky::Source => "source",
                Sticky::SourceDestination => "source-destination",
            })
        });
        let both = (on_failure, &new.on_failure);
        differ.value("on_failure", both, Effect::FlowsStay, |on_failure| {
            spelling::text(match on_failure {
                OnFailure::Rehome => "rehome",
                OnFailure::Reset => "reset",
                OnFailure::Hold => "hold",
            })
        });
        let both = (last_resort, &new.last_resort);
        differ.value("last_resort", both, Effect::FlowsStay, |last_resort| {
            spelling::text(match last_resort {
                LastResort::LeastBad => "least-bad",
                LastResort::Unreachable => "unreachable",
            })
        });
        let both = (failback, &new.failback);
        differ.option("failback.after", both, Effect::FlowsStay, spelling::duration);
    });
}

/// Tiers by name, each in an order of its own.
fn named<'u>(tiers: &[Vec<usize>], uplinks: &'u [Uplink]) -> Vec<Vec<&'u str>> {
    let tier = |tier: &Vec<usize>| {
        let mut names = spelling::names(uplinks, tier);
        names.sort_unstable();
        names
    };
    tiers.iter().map(tier).collect()
}

pub(super) fn nat(differ: &mut Differ, (old, new): Pair<'_, Nat>) {
    let Nat {
        ports,
        reserved_ports,
        filtering,
        mappings_per_host,
        unreplied_per_host,
        icmp_rate,
        icmp_burst,
    } = old;
    let stay = Effect::FlowsStay;
    differ.below("nat.", |differ| {
        let spell = |ports: &_| spelling::text(&spelling::ports(ports));
        differ.value("ports", (ports, &new.ports), stay, spell);
        let both = (reserved_ports, &new.reserved_ports);
        differ.value("reserved_ports", both, stay, |reserved| {
            let one = |(protocol, ports): &(_, _)| format!("{}/{protocol}", spelling::ports(ports));
            spelling::list(reserved.iter().map(one))
        });
        differ.value("filtering", (filtering, &new.filtering), stay, |filtering| {
            spelling::text(match filtering {
                Filtering::Endpoint => "endpoint",
                Filtering::Address => "address",
                Filtering::AddressAndPort => "address-and-port",
            })
        });
        for (key, old, new) in [
            ("mappings_per_host", mappings_per_host, &new.mappings_per_host),
            ("unreplied_per_host", unreplied_per_host, &new.unreplied_per_host),
            ("icmp_rate", icmp_rate, &new.icmp_rate),
            ("icmp_burst", icmp_burst, &new.icmp_burst),
        ] {
            differ.value(key, (old, new), stay, spelling::plain);
        }
    });
}

/// By what is forwarded to whom. Flows that have come in already are there without the forward.
pub(super) fn forwards(
    differ: &mut Differ,
    (old, new): Pair<'_, Vec<Forward>>,
    (old_uplinks, new_uplinks): Pair<'_, Vec<Uplink>>,
) {
    let stay = Effect::FlowsStay;
    let terms = |forward: &Forward, uplinks| {
        let Forward { protocol: _, ports: _, address: _, port: _, uplinks: by, sources } = forward;
        let by = spelling::list(spelling::names(uplinks, by));
        let from = if sources.is_empty() { "anyone".to_owned() } else { spelling::list(sources) };
        format!("by {by} from {from}")
    };
    let key = |forward: &Forward| format!("forward of {forward}");
    let is = |wanted: &Forward| {
        let wanted = wanted.to_string();
        move |forward: &&Forward| forward.to_string() == wanted
    };
    let mut unmatched: Vec<&Forward> = old.iter().collect();
    for forward in new {
        let terms_now = terms(forward, new_uplinks);
        // The same may be forwarded to the same host twice, by other uplinks.
        let place = unmatched
            .iter()
            .position(|old| is(forward)(old) && terms(old, old_uplinks) == terms_now);
        let place = place.or_else(|| unmatched.iter().position(|old| is(forward)(old)));
        match place.map(|place| unmatched.remove(place)) {
            Some(old) => {
                let both = (&terms(old, old_uplinks), &terms_now);
                differ.value(&key(forward), both, stay, spelling::plain);
            }
            None => differ.push(&key(forward), None, Some(terms_now), stay),
        }
    }
    for forward in unmatched {
        differ.push(&key(forward), Some(terms(forward, old_uplinks)), None, stay);
    }
}

pub(super) fn timers(differ: &mut Differ, (old, new): Pair<'_, Timers>) {
    let Timers { udp, tcp_established, tcp_transitory, icmp } = old;
    differ.below("timers.", |differ| {
        for (key, old, new) in [
            ("udp", udp, &new.udp),
            ("tcp_established", tcp_established, &new.tcp_established),
            ("tcp_transitory", tcp_transitory, &new.tcp_transitory),
            ("icmp", icmp, &new.icmp),
        ] {
            differ.value(key, (old, new), Effect::FlowsStay, spelling::duration);
        }
    });
}

pub(super) fn tables(differ: &mut Differ, (old, new): Pair<'_, TableSizes>) {
    let TableSizes {
        flows,
        unreplied,
        invited,
        mappings,
        hosts,
        fragments,
        pins,
        unreplied_pins,
        invited_pins,
    } = old;
    differ.below("flows.", |differ| {
        for (key, old, new) in [
            ("max", flows, &new.flows),
            ("unreplied", unreplied, &new.unreplied),
            ("invited", invited, &new.invited),
            ("mappings", mappings, &new.mappings),
            ("hosts", hosts, &new.hosts),
            ("fragments", fragments, &new.fragments),
        ] {
            differ.value(key, (old, new), Effect::Restart, spelling::plain);
        }
        let new = [new.pins, new.unreplied_pins, new.invited_pins];
        let both = (&[*pins, *unreplied_pins, *invited_pins], &new);
        differ.value("ipv6", both, Effect::Restart, |[all, unreplied, invited]| {
            format!("{all} ({unreplied} unreplied, {invited} invited)")
        });
    });
}

pub(super) fn host(differ: &mut Differ, (old, new): (Host, Host)) {
    let Host { offloads } = old;
    differ.value("host.offloads", (&offloads, &new.offloads), Effect::FlowsStay, |offloads| {
        spelling::text(match offloads {
            Offloads::Warn => "warn",
            Offloads::Set => "set",
        })
    });
}

pub(super) fn api(differ: &mut Differ, (old, new): Pair<'_, Api>) {
    let Api { socket } = old;
    let spell = |socket: &std::path::PathBuf| spelling::text(&socket.display());
    differ.value("api.socket", (socket, &new.socket), Effect::Restart, spell);
}

pub(super) fn state(differ: &mut Differ, (old, new): Pair<'_, State>) {
    let State { pins, directory } = old;
    differ.value("state.pins", (pins, &new.pins), Effect::Restart, |pins| match pins {
        Some(path) => spelling::text(&path.display()),
        None => "false".to_owned(),
    });
    let both = (directory, &new.directory);
    differ.value("state.directory", both, Effect::Restart, |path| spelling::text(&path.display()));
}
