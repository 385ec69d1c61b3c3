use std::fs;
use std::io;
use std::ops::RangeInclusive;

use super::PortSet;
use crate::config::PortProtocol;

const PROTOCOLS: [PortProtocol; 2] = [PortProtocol::Tcp, PortProtocol::Udp];

/// What the kernel gives to sockets that ask for no port in particular.
const LOCAL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// What of it the kernel does not give to them, and more.
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// The tables of sockets, of the calling thread's network namespace. Without IPv6 in the kernel
/// there are no tables for it.
const SOCKETS: [(PortProtocol, &str, bool); 4] = [
    (PortProtocol::Tcp, "/proc/thread-self/net/tcp", true),
    (PortProtocol::Tcp, "/proc/thread-self/net/tcp6", false),
    (PortProtocol::Udp, "/proc/thread-self/net/udp", true),
    (PortProtocol::Udp, "/proc/thread-self/net/udp6", false),
];

/// Why the ports of the gateway's own sockets are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the kernel's could not be read.
    #[error("cannot read {file}: {source}; mount /proc, and run as root")]
    Unreadable {
        /// Which.
        file: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the kernel's is not as it should be.
    #[error("{file} is {text:?}, which is not understood")]
    Malformed {
        /// Which.
        file: &'static str,
        /// What it says, or the line that is meant.
        text: String,
    },
    /// The system gives no thread to follow them on.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// The ports of the calling thread's network namespace.
pub(super) fn read() -> Result<PortSet, Error> {
    let mut set = PortSet::default();
    let text = read_file(LOCAL_RANGE)?;
    let range = parse_local_range(&text).ok_or_else(|| malformed(LOCAL_RANGE, &text))?;
    let text = read_file(RESERVED)?;
    let reserved = parse_reserved(&text).ok_or_else(|| malformed(RESERVED, &text))?;
    for ports in reserved.into_iter().chain([range]) {
        for protocol in PROTOCOLS {
            set.insert(protocol, ports.clone());
        }
    }
    for (protocol, file, required) in SOCKETS {
        let text = match read_file(file) {
            Err(Error::Unreadable { source, .. })
                if !required && source.kind() == io::ErrorKind::NotFound =>
            {
                continue;
            }
            text => text?,
        };
        for line in text.lines().skip(1) {
            let port = parse_socket(line).ok_or_else(|| malformed(file, line))?;
            set.insert(protocol, port..=port);
        }
    }
    Ok(set)
}

fn read_file(file: &'static str) -> Result<String, Error> {
    fs::read_to_string(file).map_err(|source| Error::Unreadable { file, source })
}

fn malformed(file: &'static str, text: &str) -> Error {
    Error::Malformed { file, text: text.chars().take(100).collect() }
}

/// Two ports with blanks between.
fn parse_local_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut ports = text.split_whitespace().map(str::parse::<u16>);
    let (first, last) = (ports.next()?.ok()?, ports.next()?.ok()?);
    ports.next().is_none().then_some(first..=last)
}

/// Ports and ranges with commas between, or nothing.
fn parse_reserved(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let parts = text.trim().split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .collect()
}

/// The local port of a line of a table of sockets: `0: 0100007F:0035 00000000:0000 0A …`.
fn parse_socket(line: &str) -> Option<u16> {
    let local = line.split_whitespace().nth(1)?;
    let (_, port) = local.rsplit_once(':')?;
    u16::from_str_radix(port, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn ranges_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_local_range("32768\t60999\n"), Some(32768..=60999));
        for wrong in ["", "32768\n", "a b\n", "1 2 3\n", "1 65536\n"] {
            assert_eq!(parse_local_range(wrong), None, "{wrong:?}");
        }
        assert_eq!(parse_reserved("\n"), Some(vec![]));
        assert_eq!(parse_reserved("8080,9000-9010\n"), Some(vec![8080..=8080, 9000..=9010]));
        for wrong in ["x\n", "1-\n", "70000\n"] {
            assert_eq!(parse_reserved(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sockets_are_read_as_the_kernel_writes_them() {
        let tcp =
            "   0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101";
        assert_eq!(parse_socket(tcp), Some(53));
        let tcp6 = "   1: 00000000000000000000000000000000:FFFF 00000000000000000000000000000000:0000 \
                    0A 00000000:00000000";
        assert_eq!(parse_socket(tcp6), Some(65535));
        for wrong in ["", "0:", "0: 0100007F 00000000:0000", "0: 0100007F:10000 0:0"] {
            assert_eq!(parse_socket(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn this_host_has_a_range_and_the_sockets_of_this_test() {
        let range = fs::read_to_string(LOCAL_RANGE).unwrap();
        let range = parse_local_range(&range).unwrap();
        // Ports that nothing but this test takes.
        let mut ports = (1024..=u16::MAX).filter(|port| !range.contains(port));
        let mut sockets = Vec::new();
        for address in ["127.0.0.1", "::1"] {
            let listener = ports.find_map(|port| TcpListener::bind((address, port)).ok()).unwrap();
            let socket = ports.find_map(|port| UdpSocket::bind((address, port)).ok()).unwrap();
            sockets.push((listener, socket));
        }
        let set = read().unwrap();
        for protocol in PROTOCOLS {
            assert!(set.contains(protocol, *range.start()) && set.contains(protocol, *range.end()));
        }
        for (listener, socket) in sockets {
            let tcp = listener.local_addr().unwrap().port();
            let udp = socket.local_addr().unwrap().port();
            assert!(set.contains(PortProtocol::Tcp, tcp), "{tcp} of {set:?}");
            assert!(set.contains(PortProtocol::Udp, udp), "{udp} of {set:?}");
        }
    }
}
