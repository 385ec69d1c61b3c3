use std::ops::RangeInclusive;

use super::desired::{Ipv6Mode, Nat, TableSizes};
use super::diagnostic::Report;
use super::section::Section;
use super::settings::optional_table;
use super::uplink::Placed;

/// A table's size: its key, how it goes on after the bounds, the bounds, and the default.
struct SizeRule {
    key: &'static str,
    unit: &'static str,
    bounds: RangeInclusive<u32>,
    default: u32,
}

const FLOWS: SizeRule = SizeRule {
    key: "max",
    unit: " entries, two for each flow",
    bounds: 1024..=8_388_608,
    default: 262_144,
};
const UNREPLIED: SizeRule = SizeRule {
    key: "unreplied",
    unit: " flows that nobody has answered",
    bounds: 1024..=4_194_304,
    default: 65_536,
};
const INVITED: SizeRule = SizeRule {
    key: "invited",
    unit: " flows that the LAN has not answered",
    bounds: 1024..=4_194_304,
    default: 16_384,
};
const MAPPINGS: SizeRule = SizeRule {
    key: "mappings",
    unit: " mappings of all LAN hosts together",
    bounds: 1024..=4_194_304,
    default: 131_072,
};
const HOSTS: SizeRule = SizeRule {
    key: "hosts",
    unit: " LAN hosts that are told apart",
    bounds: 256..=1_048_576,
    default: 4096,
};
const FRAGMENTS: SizeRule = SizeRule {
    key: "fragments",
    unit: " datagrams in fragments",
    bounds: 256..=1_048_576,
    default: 4096,
};

const IPV6: SizeRule = SizeRule {
    key: "ipv6",
    unit: " entries of flows of IPv6",
    bounds: FEWEST..=4_194_304,
    default: 131_072,
};
/// Where hosts share an address, a flow has two entries, and there is room for as many.
const IPV6_SHARED: SizeRule = SizeRule { default: 2 * IPV6.default, ..IPV6 };
/// What tables have that are not needed.
const FEWEST: u32 = 1024;

/// Reads `[flows]`: how large the tables are. `nat` is what was made of the section `nat_section`.
pub(super) fn read(
    report: &mut Report<'_>,
    root: &Section<'_>,
    nat_section: Option<&Section<'_>>,
    nat: &Nat,
    uplinks: &[Placed],
) -> TableSizes {
    let modes: Vec<Ipv6Mode> =
        uplinks.iter().filter_map(|(uplink, _)| Some(uplink.ipv6.as_ref()?.mode)).collect();
    let section = optional_table(report, root, "flows");
    let section = section.as_ref();
    if let Some(section) = section {
        let rules = [FLOWS, UNREPLIED, INVITED, MAPPINGS, HOSTS, FRAGMENTS, IPV6];
        section.expect_keys(report, &rules.map(|rule| rule.key), &[]);
    }
    let mut read = |rule: SizeRule| {
        section
            .and_then(|section| section.get(rule.key))
            .and_then(|field| field.integer(report, rule.bounds, rule.unit))
            .unwrap_or(rule.default)
    };
    let (unreplied, invited) = (read(UNREPLIED), read(INVITED));
    let pins = read(if modes.contains(&Ipv6Mode::Nat66) { IPV6_SHARED } else { IPV6 });
    let if_needed = |size| if modes.is_empty() { FEWEST } else { size };
    let sizes = TableSizes {
        flows: read(FLOWS),
        unreplied,
        invited,
        mappings: read(MAPPINGS),
        hosts: read(HOSTS),
        fragments: read(FRAGMENTS),
        pins: if_needed(pins),
        unreplied_pins: if_needed(unreplied),
        invited_pins: if_needed(invited),
    };
    let shares = [
        (UNREPLIED.key, sizes.unreplied, "unreplied_per_host", nat.unreplied_per_host),
        (MAPPINGS.key, sizes.mappings, "mappings_per_host", nat.mappings_per_host),
    ];
    for (key, size, share_key, share) in shares {
        if share > size / 2 {
            let field = section.and_then(|section| section.get(key));
            let share_field = nat_section.and_then(|section| section.get(share_key));
            if let Some(field) = field {
                field.warn(
                    report,
                    format_args!(
                        "is {size}, of which nat.{share_key} grants a host {share}, so that one \
                         host can leave none to the others; give {} or more",
                        share.saturating_mul(2)
                    ),
                );
            } else if let Some(field) = share_field {
                field.warn(
                    report,
                    format_args!(
                        "is {share} of the {size} of flows.{key}, so that one host can leave none \
                         to the others; give {} or less",
                        size / 2
                    ),
                );
            }
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, config_with};
    use super::*;

    #[test]
    fn reads_what_is_given() {
        let config = config_with(
            "[flows]\nmax = 1024\nunreplied = 2_097_152\ninvited = 1024\nmappings = 200_000\n\
             hosts = 256\nfragments = 512\nipv6 = 4096",
        );
        let sizes = TableSizes {
            flows: 1024,
            unreplied: 2_097_152,
            invited: 1024,
            mappings: 200_000,
            hosts: 256,
            fragments: 512,
            pins: 1024,
            unreplied_pins: 1024,
            invited_pins: 1024,
        };
        assert_eq!(config.tables, sizes);
    }

    #[test]
    fn tables_of_ipv6_are_large_where_an_uplink_carries_it() {
        let uplink = "[[uplink]]\nname = \"six\"\ninterface = \"wan6\"\n\
                      ipv6 = { mode = \"routed\", prefix = \"2001:db8:100::/48\" }\n";
        let sizes = config_with(uplink).tables;
        assert_eq!(
            [sizes.pins, sizes.unreplied_pins, sizes.invited_pins],
            [131_072, 65_536, 16_384]
        );
        let sizes = config_with(&format!("{uplink}[flows]\nipv6 = 2048\nunreplied = 32768")).tables;
        assert_eq!([sizes.pins, sizes.unreplied_pins, sizes.invited_pins], [2048, 32_768, 16_384]);
    }

    #[test]
    fn flows_by_a_shared_address_take_two_entries() {
        let uplinks = "ipv6 = { mode = \"routed\", prefix = \"2001:db8:100::/48\" }\n[[uplink]]\n\
                       name = \"six\"\ninterface = \"wan6\"\nipv6 = { mode = \"nat66\" }\n";
        let sizes = config_with(uplinks).tables;
        assert_eq!(
            [sizes.pins, sizes.unreplied_pins, sizes.invited_pins],
            [262_144, 65_536, 16_384]
        );
        assert_eq!(config_with(&format!("{uplinks}[flows]\nipv6 = 2048")).tables.pins, 2048);
    }

    #[test]
    fn tables_are_bounded() {
        for (key, given, fix) in [
            ("max", "1023", "1024 to 8388608 entries, two for each flow"),
            ("max", "8388609", "1024 to 8388608 entries, two for each flow"),
            ("unreplied", "0", "1024 to 4194304 flows that nobody has answered"),
            ("invited", "1", "1024 to 4194304 flows that the LAN has not answered"),
            ("mappings", "-1", "1024 to 4194304 mappings of all LAN hosts together"),
            ("hosts", "255", "256 to 1048576 LAN hosts that are told apart"),
            ("fragments", "1048577", "256 to 1048576 datagrams in fragments"),
            ("ipv6", "1023", "1024 to 4194304 entries of flows of IPv6"),
        ] {
            assert_eq!(
                complaints(&format!("[flows]\n{key} = {given}")),
                [format!("10:{}: flows.{key} is {given}; give {fix}", key.len() + 4)]
            );
        }
        assert_eq!(
            complaints("[flows]\nunreplyed = 4096"),
            ["10:1: flows.unreplyed is not a known key; did you mean unreplied?"]
        );
    }

    #[test]
    fn a_share_that_leaves_the_others_nothing_is_warned_of() {
        assert_eq!(
            complaints("[flows]\nunreplied = 8191\nmappings = 32768"),
            ["10:13: warning: flows.unreplied is 8191, of which nat.unreplied_per_host grants a \
              host 4096, so that one host can leave none to the others; give 8192 or more"]
        );
        assert_eq!(
            complaints("[nat]\nmappings_per_host = 65537"),
            ["10:21: warning: nat.mappings_per_host is 65537 of the 131072 of flows.mappings, so \
              that one host can leave none to the others; give 65536 or less"]
        );
    }
}
