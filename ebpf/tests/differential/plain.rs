//! What the tables of the gateway under test hold, in the model's words.

use pointsman_ebpf::abi::{
    Binding, Direction, Flow as Entry, FlowKey, Ipv4, L4Port, Mark, Opener, Placement,
};
use pointsman_ebpf::memory::MemoryTables;
use pointsman_ebpf::memory::sequence::End;
use pointsman_ebpf::path::FlowTable;

use super::model::Swept;
use super::model::packet::{ICMP, TCP, UDP};
use super::model::state::{
    Datagram, Flow, Host, Key, Mapped, MappingKey, PublicKey, State, Traffic, Translation,
};

pub(crate) fn end((address, port): (Ipv4, L4Port)) -> End {
    (address.octets(), port.to_host())
}

fn entry_end((address, port): End) -> (Ipv4, L4Port) {
    (Ipv4::new(address), L4Port::from_host(port))
}

fn key(key: &FlowKey) -> Key {
    Key {
        uplink: key.realm().checked_sub(1),
        protocol: key.protocol(),
        from: end(key.from()),
        to: end(key.to()),
    }
}

fn flow_key(key: &Key) -> FlowKey {
    let realm = key.uplink.map_or(0, |uplink| uplink + 1);
    FlowKey::new(entry_end(key.from), entry_end(key.to), key.protocol, realm)
}

fn mac(words: [[u8; 4]; 3]) -> [u8; 6] {
    let [[a, b, c, d], [e, f, ..], _] = words;
    [a, b, c, d, e, f]
}

fn flow(entry: &Entry) -> Flow {
    let new = Some(end((entry.address, entry.port)));
    let other = Some(end((entry.other_address, entry.other_port)));
    let translation = match entry.direction {
        out if out == Direction::Out as u8 => Translation { source: new, destination: None },
        into if into == Direction::In as u8 => Translation { source: None, destination: new },
        _ => Translation { source: new, destination: other },
    };
    let mark = Mark(entry.mark);
    Flow {
        translation,
        // Those of the sides that route are behind the others.
        uplink: entry.uplink % 64,
        routed: entry.uplink >= 64,
        generation: entry.generation,
        by_lan: entry.opener == Opener::Lan as u8,
        mac: mac(entry.lan.macs().words()),
        traffic: Traffic {
            last: mark.last_seen(),
            seen: mark.seen() as u8,
            sequence: (entry.progress >> 32 == 1).then_some(entry.progress as u32),
        },
    }
}

fn mapped(binding: &Binding) -> Mapped {
    Mapped {
        end: end((binding.address, binding.port)),
        generation: binding.generation,
        mac: mac(binding.lan.macs().words()),
    }
}

/// The internal key of a mapping.
pub(crate) fn inner_key(key: &MappingKey) -> FlowKey {
    FlowKey::internal(entry_end(key.host), Ipv4::new(key.remote), key.protocol, key.uplink)
}

fn outer_key(key: &PublicKey) -> FlowKey {
    FlowKey::external(Ipv4::new(key.remote), entry_end(key.public), key.protocol, key.uplink)
}

/// All that the tables hold. Sizes are not in it.
pub(crate) fn state(tables: &MemoryTables) -> State {
    let mut state = State::default();
    let flows = |table| tables.flows(table).into_iter().map(|(at, entry)| (key(&at), flow(&entry)));
    state.established.extend(flows(FlowTable::Established));
    state.unreplied.extend(flows(FlowTable::Unreplied));
    state.invited.extend(flows(FlowTable::Invited));
    for (at, entry) in tables.flows(FlowTable::Fragments) {
        let first = entry.progress as usize;
        state.datagrams.insert(key(&at), Datagram { flow: flow(&entry), first });
    }
    for (at, binding) in tables.bindings() {
        let (uplink, protocol) = (at.realm() - 1, at.protocol());
        if at.is_internal() {
            let remote = at.destination().octets();
            let key = MappingKey { uplink, protocol, host: end(at.from()), remote };
            state.mappings.insert(key, mapped(&binding));
            continue;
        }
        let remote = at.source().octets();
        let key = PublicKey { uplink, protocol, public: end(at.to()), remote };
        let by_pairs = !matches!(protocol, TCP | UDP | ICMP);
        let table =
            if remote == [0; 4] || by_pairs { &mut state.publics } else { &mut state.permissions };
        table.insert(key, mapped(&binding));
    }
    for (address, host) in tables.hosts() {
        let placement = Placement(host.placement).uplink();
        let host = Host { mappings: host.mappings, unreplied: host.unreplied, placement };
        if host != Host::default() {
            state.hosts.insert(address.octets(), host);
        }
    }
    state
}

/// Removes from the tables what the model's sweep has removed, and sets what hosts take.
pub(crate) fn sweep(tables: &MemoryTables, swept: &Swept, state: &State) {
    for (table, keys) in [
        (FlowTable::Established, &swept.established),
        (FlowTable::Unreplied, &swept.unreplied),
        (FlowTable::Invited, &swept.invited),
    ] {
        for key in keys {
            tables.remove_flow(table, &flow_key(key));
        }
    }
    for key in &swept.mappings {
        tables.remove_binding(&inner_key(key));
    }
    for key in swept.publics.iter().chain(&swept.permissions) {
        tables.remove_binding(&outer_key(key));
    }
    for (address, _) in tables.hosts() {
        let host = state.hosts.get(&address.octets()).copied().unwrap_or_default();
        let placed = host.placement.map_or(Placement::NONE, |uplink| Placement::new(uplink, 0));
        let Host { mappings, unreplied, .. } = host;
        let host = pointsman_ebpf::abi::Host { mappings, unreplied, placement: placed.0 };
        tables.set_host(address, &host);
    }
}
