//! What the tables of the gateway under test hold of IPv6, in the model's words.

use std::collections::BTreeMap;

use pointsman_ebpf::abi::{Flow, FlowKey, Ipv6, L4Port, LanSide, Mark, Masquerade, Opener, Track};
use pointsman_ebpf::memory::site::PROVIDERS;
use pointsman_ebpf::memory::{DIGEST_KEY, MemoryTables, PIN_TABLES, site6};
use pointsman_ebpf::path::FlowTable;

use super::model::state::Traffic;
use super::model6::packet::Address;
use super::model6::site;
use super::model6::state::{End, First, FragmentKey, Key, Pin, Shared};

/// The address that the hosts behind an uplink share.
fn public(uplink: u8) -> Address {
    let provider = PROVIDERS.iter().find(|provider| provider.id == uplink);
    site6::own(provider.expect("it is an uplink's")).to_bits()
}

pub(crate) fn number(address: Ipv6) -> Address {
    Address::from_be_bytes(address.octets())
}

pub(crate) fn entry_end((address, port): End) -> (Ipv6, L4Port) {
    (Ipv6::new(address.to_be_bytes()), L4Port::from_host(port))
}

fn side(lan: LanSide) -> site::LanSide {
    let [[a, b, c, d], [e, f, ..], _] = lan.macs().words();
    ([a, b, c, d, e, f], lan.mtu())
}

fn traffic(track: &Track) -> Traffic {
    let mark = Mark(track.mark);
    Traffic {
        last: mark.last_seen(),
        seen: mark.seen() as u8,
        sequence: (track.progress >> 32 == 1).then_some(track.progress as u32),
    }
}

/// The key of the flow's pin.
pub(crate) fn pin_key(key: &Key) -> FlowKey {
    FlowKey::pinned(&DIGEST_KEY, entry_end(key.inside), entry_end(key.outside), key.protocol)
}

/// The key of what a first fragment has left: the identification stands in the place of the sender's
/// port, its halves in those of both.
pub(crate) fn fragment_key(key: &FragmentKey) -> FlowKey {
    let [high, low] = [(key.identification >> 16) as u16, key.identification as u16];
    let (inside, outside, protocol) =
        if key.from_lan { (high, low, 44) } else { (low, high, 44 | 0x80) };
    let ends = (entry_end((key.inside, inside)), entry_end((key.outside, outside)));
    FlowKey::pinned(&DIGEST_KEY, ends.0, ends.1, protocol)
}

/// All pins that the tables hold. That an entry is found where its addresses say is asserted.
pub(crate) fn pins(tables: &MemoryTables) -> [BTreeMap<Key, Pin>; 3] {
    PIN_TABLES.map(|table| {
        let pins = tables.ipv6.pins(table).into_iter().map(|(at, pin)| {
            let host = (number(pin.inside), pin.port.to_host());
            let (inside, shared) = match pin.masquerade {
                out if out == Masquerade::Out as u8 => {
                    assert_eq!(number(pin.into.to_address()), public(pin.uplink), "{pin:?}");
                    (host.0, Shared::Out(host.1))
                }
                into if into == Masquerade::In as u8 => {
                    assert_eq!(pin.out, Track::default(), "{pin:?}");
                    (public(pin.uplink), Shared::In(host))
                }
                _ => (host.0, Shared::No),
            };
            let inside = (inside, at.source_port().to_host());
            let outside = (number(pin.outside), at.destination_port().to_host());
            let key = Key { inside, outside, protocol: at.protocol() };
            assert_eq!(pin_key(&key), at, "{pin:?} has another's key");
            let pin = Pin {
                uplink: pin.uplink,
                generation: pin.generation,
                by_lan: pin.opener == Opener::Lan as u8,
                lan: side(pin.lan),
                created: pin.created,
                shared,
                out: traffic(&pin.out),
                // It is an address there.
                into: match shared {
                    Shared::Out(_) => Traffic::default(),
                    _ => traffic(&pin.into),
                },
            };
            (key, pin)
        });
        pins.collect()
    })
}

/// All that first fragments have left.
pub(crate) fn fragments(tables: &MemoryTables) -> BTreeMap<FlowKey, First> {
    let first = |entry: &Flow| First {
        len: entry.progress as usize,
        uplink: entry.uplink,
        generation: entry.generation,
        host: number(entry.inside()),
        lan: side(entry.lan),
    };
    let entries = tables.flows(FlowTable::Fragments).into_iter();
    entries.map(|(key, entry)| (key, first(&entry))).collect()
}
