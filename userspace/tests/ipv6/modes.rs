//! What must work in every mode.

use pointsman_lab::plan6::{self, SERVER};
use pointsman_lab::wait_until;

use crate::bulk;
use crate::hosts::{Mode, client_by, gateway, hops, ping};
use crate::support::BOUND;

/// What a host expects of its gateway, by each uplink.
fn everything_works(mode: Mode) {
    let gateway = gateway(mode, "");
    let site = &gateway.site;
    for uplink in 0..2 {
        let from = client_by(&gateway, mode, uplink);
        if mode == Mode::Routed {
            site.prefer_provider6(uplink).unwrap();
        }
        let (worked, text) = ping(&site.client, from, &["-c", "3", "-i", "0.2"]);
        assert!(worked, "{text}");
        // In fragments, both ways.
        let (worked, text) = ping(&site.client, from, &["-c", "3", "-i", "0.2", "-s", "8000"]);
        assert!(worked, "{text}");
        let first = plan6::lan_gateway(match mode {
            Mode::Nptv6 | Mode::Nat66 => plan6::UNIQUE_LOCAL,
            Mode::Routed => plan6::INDEPENDENT,
            Mode::Source => plan6::provider(0),
        });
        assert_eq!(hops(&site.client, from, SERVER), [first, plan6::isp(uplink), SERVER]);
    }
    // The second uplink takes no more than every link must. Who sends more is told, and cuts.
    site.gateway.ip("link set wan1 mtu 1280").unwrap();
    site.uplinks[1].isp.ip("link set customer mtu 1280").unwrap();
    let from = client_by(&gateway, mode, 1);
    let whole = ["-c", "1", "-s", "1400", "-M", "do"];
    wait_until("the sender is told", BOUND, || {
        Ok(ping(&site.client, from, &whole).1.contains("mtu=1280"))
    })
    .unwrap();
    if mode == Mode::Routed {
        site.prefer_provider6(1).unwrap();
    }
    // The first answer may only teach its sender.
    let (worked, text) = ping(&site.client, from, &["-c", "3", "-i", "0.2", "-s", "1400"]);
    assert!(worked, "{text}");
    for uplink in 0..2 {
        let from = client_by(&gateway, mode, uplink);
        if mode == Mode::Routed {
            site.prefer_provider6(uplink).unwrap();
        }
        let arguments = ["--interface", &from.to_string()];
        let directory = gateway.directory.path();
        let peers =
            bulk::move_both_ways(&site.client, &site.server, SERVER.into(), directory, &arguments);
        for peer in peers {
            let std::net::IpAddr::V6(peer) = peer else { panic!("{peer} is not IPv6") };
            match mode {
                // The interface identifier stays, and the subnet makes up for the prefix.
                Mode::Nptv6 => {
                    let prefix = plan6::provider(uplink).segments();
                    assert_eq!(peer.segments()[..3], prefix[..3], "{peer}");
                    assert_eq!(peer.segments()[4..], from.segments()[4..], "{peer}");
                }
                Mode::Routed | Mode::Source => assert_eq!(peer, from),
                Mode::Nat66 => assert_eq!(peer, plan6::gateway(uplink)),
            }
        }
    }
}

#[test]
fn everything_works_where_the_prefix_is_translated() {
    everything_works(Mode::Nptv6);
}

#[test]
fn everything_works_where_hosts_share_an_address() {
    everything_works(Mode::Nat66);
}

#[test]
fn everything_works_where_the_prefix_is_routed() {
    everything_works(Mode::Routed);
}

#[test]
fn everything_works_where_hosts_have_an_address_of_each_provider() {
    everything_works(Mode::Source);
}
