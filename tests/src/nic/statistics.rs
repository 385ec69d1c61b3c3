//! What a NIC's driver counts, as `ethtool -S` shows it.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::io;
use std::os::fd::AsRawFd as _;

use super::{Nic, control_socket, request_for, siocethtool};
use crate::LabError;

/// Commands of `SIOCETHTOOL`, and the set of strings that name statistics, from linux/ethtool.h.
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETH_SS_STATS: u32 = 1;

/// How long a name is, in bytes: `ETH_GSTRING_LEN`.
const NAME: usize = 32;

/// The words before the names in `struct ethtool_gstrings`.
const NAMES_HEAD: usize = 3;

impl Nic {
    /// What the driver counts, by the names that it has for it. A veth counts, with one queue:
    ///
    /// - `rx_queue_0_xdp_packets`: frames that it has received, where it has an XDP program;
    /// - `rx_queue_0_xdp_redirect` and `rx_queue_0_xdp_drops`: what the program made of them;
    /// - `rx_queue_0_drops`: frames for which there was no room, or which could not be redirected;
    /// - `tx_queue_0_xdp_xmit`: frames that were redirected to it, and handed to the other end;
    /// - `tx_queue_0_xdp_xmit_errors`: those for which the other end had no room.
    ///
    /// # Errors
    ///
    /// Where the interface no longer exists.
    pub fn statistics(&self) -> Result<BTreeMap<String, u64>, LabError> {
        self.request("read the statistics of", statistics)
    }
}

/// The statistics of an interface of the calling thread's namespace.
fn statistics(name: &str) -> io::Result<BTreeMap<String, u64>> {
    let count = count(name)?;
    let mut names = vec![0_u32; NAMES_HEAD + count * NAME / size_of::<u32>()];
    names[..NAMES_HEAD].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_STATS, count as u32]);
    ask(name, &mut names)?;
    let mut values = vec![0_u64; 1 + count];
    values[0] = join([ETHTOOL_GSTATS, count as u32]);
    ask(name, &mut values)?;

    let names: Vec<u8> = names[NAMES_HEAD..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let names = names.chunks_exact(NAME).map(|name| {
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
        String::from_utf8_lossy(&name[..end]).into_owned()
    });
    Ok(names.zip(values[1..].iter().copied()).collect())
}

/// How many statistics there are.
fn count(name: &str) -> io::Result<usize> {
    // The command and a reserved word, the mask of the sets, and the number of each.
    let mut sizes = [join([ETHTOOL_GSSET_INFO, 0]), 1 << ETH_SS_STATS, 0];
    ask(name, &mut sizes)?;
    // The kernel takes what it does not know out of the mask.
    let [size, _] = split(sizes[2]);
    Ok(if sizes[1] == 0 { 0 } else { size as usize })
}

/// Two words as they stand in memory.
fn join([low, high]: [u32; 2]) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (low.to_ne_bytes(), high.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

fn split(pair: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = pair.to_ne_bytes();
    [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes)
}

/// Sends a command, and has the answer written over it. There is room for all that the kernel writes.
fn ask<T>(name: &str, command: &mut [T]) -> io::Result<()> {
    let mut request = request_for(name)?;
    request.ifr_ifru.ifru_data = command.as_mut_ptr().cast::<c_char>();
    let socket = control_socket()?;
    // SAFETY: the request points to a command with its own room for the answer, which outlives the call.
    unsafe { siocethtool(socket.as_raw_fd(), &raw mut request) }?;
    Ok(())
}
