use aya_ebpf::bindings::xdp_md;
use pointsman_ebpf::{
    abi::{
        DigestKey, FlowKey, Ipv6, LanSide, MacPair, Nat64, Pin, PortKey, PortRole, SharedU64,
        Uplink6, WantedNeighbour,
    },
    path::{FlowTable, InsertError, NextHop, Tables, Tables6},
    table::Existing,
};

use super::fib::{self, Route};
use super::flow_tables::{InvitedPins, Pins, UnrepliedPins};
use super::maps::{ADDRESSES6, NAT64, Section, UPLINKS6, WANTED};
use super::tables::{KernelTables, take_token};

/// What digests of addresses are keyed by. The loader sets it.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.digest")]
static PIN_DIGEST_KEY: Section<DigestKey> = Section::zeroed();

impl<const LOOK_UP: u8> Tables6 for KernelTables<LOOK_UP, *mut xdp_md> {
    #[inline(always)]
    fn digest_key(&self) -> &DigestKey {
        PIN_DIGEST_KEY.all()
    }

    #[inline(always)]
    fn uplink6(&self, uplink: u8) -> Option<&Uplink6> {
        UPLINKS6.get(usize::from(uplink))
    }

    #[inline(always)]
    fn nat64(&self) -> &Nat64 {
        match NAT64.all() {
            [nat64] => nat64,
        }
    }

    #[inline(always)]
    fn address6(&self, egress: u16) -> Option<Ipv6> {
        ADDRESSES6.get(u32::from(egress)).copied()
    }

    #[inline(always)]
    fn lan_next_hop(&self, address: &Ipv6) -> NextHop {
        let Some(settings) = self.settings() else {
            return NextHop::Nowhere;
        };
        match fib::route(self.context, settings.lan_interface, *address) {
            Route::Neighbour(interface, mac) => match self.port(PortKey::untagged(interface)) {
                Some(port) if port.role == PortRole::Lan as u8 => {
                    NextHop::Lan(LanSide::new(MacPair::new(mac, port.mac), port.egress, port.mtu))
                }
                _ => NextHop::Nowhere,
            },
            Route::Unknown(interface, address) => {
                if take_token(1, self.now(), settings.icmp_rate, settings.icmp_burst) {
                    let wanted = WantedNeighbour { address, interface, reserved: 0 };
                    // Where there is no room, the next packet asks again.
                    let _ = WANTED.output::<WantedNeighbour>(wanted, 0);
                }
                NextHop::Unknown
            }
            Route::Nowhere => NextHop::Nowhere,
        }
    }

    #[inline(always)]
    fn pin(&self, table: FlowTable, key: &FlowKey) -> Option<&Pin<SharedU64>> {
        match table {
            FlowTable::Established => Pins.get::<LOOK_UP>(key),
            FlowTable::Unreplied => UnrepliedPins.get::<LOOK_UP>(key),
            FlowTable::Invited => InvitedPins.get::<LOOK_UP>(key),
            FlowTable::Fragments => None,
        }
    }

    #[inline(always)]
    fn prefetch_unanswered_pin(&self, key: &FlowKey) {
        UnrepliedPins.prefetch(key);
        InvitedPins.prefetch(key);
    }

    #[inline(always)]
    fn replace_pin(&self, table: FlowTable, key: &FlowKey, pin: &Pin) -> Result<(), InsertError> {
        match table {
            FlowTable::Established => Pins.insert(key, pin, Existing::Goes),
            FlowTable::Unreplied => UnrepliedPins.insert(key, pin, Existing::Goes),
            FlowTable::Invited => InvitedPins.insert(key, pin, Existing::Goes),
            FlowTable::Fragments => Err(InsertError::Full),
        }
    }

    #[inline(always)]
    fn retract_pin(&self, table: FlowTable, key: &FlowKey) {
        match table {
            FlowTable::Established => Pins.remove(key),
            FlowTable::Unreplied => UnrepliedPins.remove(key),
            FlowTable::Invited => InvitedPins.remove(key),
            FlowTable::Fragments => {}
        }
    }
}
