use core::fmt;

use super::{FLOW_TABLES, MemoryTables};
use crate::abi::{Direction, Flow, FlowKey, Host, Ipv4, L4Port, Mark, Placement};
use crate::path::Tables as _;

impl fmt::Display for MemoryTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "now: {} ns, alive: {:#b}", self.now(), self.alive())?;
        if self.settings.is_none() {
            writeln!(f, "settings: none")?;
        }
        match &self.group {
            Some(group) => writeln!(
                f,
                "group: preferred {:#b}, usable {:#b}, sticky {}",
                group.preferred, group.usable, group.sticky
            )?,
            None => writeln!(f, "group: none")?,
        }
        for (id, uplink) in self.uplinks.iter().enumerate() {
            if uplink.generation != 0 {
                let (address, egress, mtu) = (Address(uplink.address), uplink.egress, uplink.mtu);
                writeln!(
                    f,
                    "uplink {id}: generation {}, {address}, egress {egress}, mtu {mtu}",
                    uplink.generation
                )?;
            }
        }
        for table in FLOW_TABLES {
            writeln!(f, "{table:?} flow entries: {}", self.flow_count(table))?;
            for (key, flow) in self.flows(table) {
                writeln!(f, "  {}", Entry(&key, &flow))?;
            }
        }
        for (key, binding) in self.bindings() {
            let (side, end) = if key.is_internal() {
                ("inside", End(key.source(), key.source_port()))
            } else {
                ("outside", End(key.destination(), key.destination_port()))
            };
            writeln!(
                f,
                "mapping {side}: realm {} protocol {}: {end} is {}, generation {}",
                key.realm(),
                key.protocol(),
                End(binding.address, binding.port),
                binding.generation,
            )?;
        }
        for (address, host) in self.hosts() {
            let Host { mappings, unreplied, placement } = host;
            write!(f, "host {}: {mappings} mappings, {unreplied} unreplied", Address(address))?;
            match Placement(placement).uplink() {
                Some(uplink) => writeln!(f, ", by uplink {uplink}")?,
                None => writeln!(f)?,
            }
        }
        write!(f, "counters:\n{}", self.counts())
    }
}

struct Address(Ipv4);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::net::Ipv4Addr::from(self.0.octets()).fmt(f)
    }
}

struct End(Ipv4, L4Port);

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Address(self.0), self.1.to_host())
    }
}

struct Entry<'a>(&'a FlowKey, &'a Flow);

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(key, flow) = self;
        let rewritten = match flow.direction {
            out if out == Direction::Out as u8 => "out, source",
            into if into == Direction::In as u8 => "in, destination",
            out if out == Direction::Out64 as u8 => "out of IPv6, source",
            into if into == Direction::In64 as u8 => "into IPv6, destination",
            _ => "hairpin, source",
        };
        let mark = Mark(flow.mark);
        write!(
            f,
            "realm {} protocol {}: {} > {} ({rewritten} becomes {}), uplink {} generation {}, \
             last seen {} of {:#b}",
            key.realm(),
            key.protocol(),
            End(key.source(), key.source_port()),
            End(key.destination(), key.destination_port()),
            End(flow.address, flow.port),
            flow.uplink,
            flow.generation,
            mark.last_seen(),
            mark.seen(),
        )
    }
}
