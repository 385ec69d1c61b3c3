//! VLAN tags for a data plane whose daemon knows of none.

use anyhow::{Context as _, Result};
use aya::{
    Pod,
    maps::{Array, Map, MapData, loaded_maps},
};
use pointsman_ebpf::abi::{PORT_SLOTS, Port, PortRole, Vlan};
use pointsman_ebpf::wire::Tags;

use crate::link;

/// Has the data plane that was loaded last serve these VLANs, in the LAN and at its uplink, and nothing else:
/// so its interfaces have the program of tagged frames, as the daemon would see to.
pub(crate) fn serve([lan, wan]: [u16; 2]) -> Result<()> {
    let mut ports = section::<Port>(".data.ports")?;
    let mut vlans = section::<Tags>(".data.vlans")?;
    let (mut served, mut tags) = ([Port::default(); PORT_SLOTS], [Tags::NONE; PORT_SLOTS]);
    for port in ports.get(&0, 0)?.into_iter().filter(|port| port.ifindex != 0) {
        let id = if port.role == PortRole::Lan as u8 { lan } else { wan };
        let port = Port { vlan: Vlan::customer(id).unwrap_or_default(), ..port };
        let slot = port.key().slots().find(|slot| served[*slot] == Port::default());
        served[slot.context("the table of ports has no slot")?] = port;
        tags[usize::from(port.egress)] = Tags::of(port.vlan);
    }
    vlans.set(0, tags, 0)?;
    ports.set(0, served, 0)?;
    // Of its name, the kernel keeps 15 bytes. So it does of that of IPv6, which is loaded after it.
    link::replace("pointsman", "pointsman_tagge")
}

/// The only element of a section of the data, of the object that was loaded last.
fn section<T: Pod>(name: &str) -> Result<Array<MapData, [T; PORT_SLOTS]>> {
    let named = loaded_maps().filter_map(Result::ok).filter(|map| map.name_as_str() == Some(name));
    let newest = named.map(|map| map.id()).max().with_context(|| format!("there is no {name}"))?;
    Ok(Map::Array(MapData::from_id(newest)?).try_into()?)
}
