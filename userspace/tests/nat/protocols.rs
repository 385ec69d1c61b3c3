//! Protocols without ports: by pairs of addresses.

use std::net::Ipv4Addr;

use pointsman_lab::plan::SERVER;

use crate::hosts::site;
use crate::raw::RawIp;
use crate::support::Gateway;

/// GRE, ESP, SCTP, and one for experiments (RFC 3692), with what begins a header of each.
const PROTOCOLS: [i32; 4] = [47, 50, 132, 253];

/// Lets a LAN host and the server have a word by a protocol. Returns how the host appears.
pub(crate) fn exchange(host: &RawIp, server: &RawIp, word: &[u8]) -> Ipv4Addr {
    host.send(SERVER, word);
    let (heard, from, to) = server.receive();
    assert_eq!((heard.as_slice(), to), (word, SERVER));
    server.send(from, word);
    let (heard, answerer, _) = host.receive();
    assert_eq!((heard.as_slice(), answerer), (word, SERVER));
    from
}

#[test]
fn other_protocols_cross_for_one_host_per_remote() {
    let gateway = Gateway::of(site(), "");
    for uplink in [0, 1] {
        let public = gateway.site.uplinks[uplink].gateway_address;
        let addresses = gateway.addresses_by(uplink);
        for protocol in PROTOCOLS {
            let server = RawIp::new(&gateway.site.server, SERVER, protocol);
            let first = RawIp::new(&gateway.site.client, addresses[0], protocol);
            assert_eq!(exchange(&first, &server, b"\0\0\x08\0first"), public);
            // The second one has no place, and the first keeps its own.
            let second = RawIp::new(&gateway.site.client, addresses[1], protocol);
            second.send(SERVER, b"\0\0\x08\0second");
            assert_eq!(exchange(&first, &server, b"\0\0\x08\0again"), public);
        }
    }
    gateway.assert_drops(&[("address_pair_taken", 8)]);
}
