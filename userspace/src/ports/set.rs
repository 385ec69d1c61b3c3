use std::fmt;
use std::ops::RangeInclusive;

use pointsman_ebpf::abi::{L4Port, OWN_PORT_WORDS, OwnPorts};

use crate::config::PortProtocol;

/// Ports of TCP and of UDP, a bit each, where [`OwnPorts`] has them.
#[derive(Clone, PartialEq, Eq)]
pub struct PortSet {
    words: Vec<u64>,
}

impl Default for PortSet {
    fn default() -> Self {
        Self { words: vec![0; OWN_PORT_WORDS] }
    }
}

impl PortSet {
    /// Adds these ports of a protocol.
    pub fn insert(&mut self, protocol: PortProtocol, ports: RangeInclusive<u16>) {
        for port in ports {
            let (word, bit) = place(protocol, port);
            self.words[word] |= 1 << bit;
        }
    }

    /// Adds the ports of another set.
    pub fn insert_all(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Whether a port is in the set.
    pub fn contains(&self, protocol: PortProtocol, port: u16) -> bool {
        let (word, bit) = place(protocol, port);
        self.words[word] >> bit & 1 == 1
    }

    /// The words that are not zero, by index, as the data plane has them.
    pub fn words(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(self.words.iter().copied()).filter(|(_, word)| *word != 0)
    }

    fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortSet of {}", self.len())
    }
}

/// The word, below [`OWN_PORT_WORDS`], and the bit in it.
fn place(protocol: PortProtocol, port: u16) -> (usize, u32) {
    let (word, bit) = OwnPorts::place(protocol == PortProtocol::Udp, L4Port::from_host(port));
    (word as usize, bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_apart_and_ranges_whole() {
        let mut set = PortSet::default();
        assert_eq!(set.words().count(), 0);
        set.insert(PortProtocol::Tcp, 63..=64);
        set.insert(PortProtocol::Udp, 0..=0);
        set.insert(PortProtocol::Udp, 65535..=65535);
        let words: Vec<_> = set.words().collect();
        assert_eq!(words, [(0, 1 << 63), (1, 1), (1024, 1), (2047, 1 << 63)]);
        assert!(set.contains(PortProtocol::Tcp, 64) && !set.contains(PortProtocol::Udp, 64));
        let mut other = PortSet::default();
        other.insert(PortProtocol::Tcp, 0..=65535);
        set.insert_all(&other);
        assert_eq!(set.len(), 65536 + 2);
        assert_eq!(format!("{set:?}"), "PortSet of 65538");
    }
}
