//! Neighbours that the data plane wants to send to, and whose MAC the kernel does not know.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use aya::Ebpf;
use aya::maps::{MapData, RingBuf};
use pointsman_ebpf::abi::{Ipv6, WantedNeighbour};
use tokio::io::unix::AsyncFd;

use super::error::LoadError;

/// The map's name in the object.
const MAP: &str = "WANTED";

/// What the data plane asks for.
pub struct Wanted(AsyncFd<RingBuf<MapData>>);

impl Wanted {
    /// Takes the map out of a loaded object. In a Tokio runtime with I/O.
    ///
    /// # Errors
    /// Where it is missing, or the runtime cannot wait for it.
    pub(super) fn take(object: &mut Ebpf) -> Result<Self, LoadError> {
        let map = object.take_map(MAP).and_then(|map| RingBuf::try_from(map).ok());
        let ring = map.ok_or(LoadError::Map(MAP))?;
        // SAFETY: the ring owns its descriptor, gives out the same one each time, and is dropped only
        // after the registration, which owns it from here on.
        let registered = unsafe { AsyncFd::register(ring) };
        Ok(Self(registered.map_err(|error| LoadError::Memory(MAP, error.into()))?))
    }

    /// The next ones: each the kernel's index of an interface, and an address.
    ///
    /// # Errors
    /// Where the runtime cannot wait.
    pub async fn next(&mut self) -> io::Result<Vec<(u32, IpAddr)>> {
        loop {
            let mut ready = self.0.readable_mut().await?;
            let ring = ready.get_inner_mut();
            let mut wanted = Vec::new();
            while let Some(item) = ring.next() {
                wanted.extend(decode(&item));
            }
            ready.clear_ready();
            wanted.sort_unstable();
            wanted.dedup();
            if !wanted.is_empty() {
                return Ok(wanted);
            }
        }
    }
}

/// The interface and the address of an element of the ring: a [`WantedNeighbour`].
fn decode(bytes: &[u8]) -> Option<(u32, IpAddr)> {
    const ADDRESS: usize = size_of::<Ipv6>();
    if bytes.len() != size_of::<WantedNeighbour>() {
        return None;
    }
    let (address, rest) = bytes.split_first_chunk::<ADDRESS>()?;
    let interface = u32::from_ne_bytes(*rest.first_chunk()?);
    // Of IPv4 it is a mapped one.
    Some((interface, Ipv6Addr::from(*address).to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_an_address_and_an_interface() {
        for (address, expected) in [("fe80::1:2", "fe80::1:2"), ("::ffff:10.1.0.2", "10.1.0.2")] {
            let address: Ipv6Addr = address.parse().unwrap();
            let bytes = [&address.octets()[..], &7_u32.to_ne_bytes(), &[0; 4]].concat();
            assert_eq!(decode(&bytes), Some((7, expected.parse().unwrap())));
            assert_eq!(decode(&bytes[1..]), None);
        }
    }
}
