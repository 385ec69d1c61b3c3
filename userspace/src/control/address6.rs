//! Which of an interface's IPv6 addresses the hosts of the LAN share.

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::Ipv6;

use crate::netlink::Rank;

/// One that the Internet can answer, a global address before a unique local one (RFC 4193), for the
/// latter is good only where the provider translates it again.
///
/// Among those the one in use, for a change ends all flows; else one that is not temporary. A deprecated
/// one is not taken for what is new (RFC 4862 section 5.5.4), but stays in use while there is no other.
pub(super) fn choose(
    addresses: impl Iterator<Item = (Ipv6Addr, Rank)>,
    in_use: Option<Ipv6Addr>,
) -> Option<Ipv6Addr> {
    let all: Vec<_> =
        addresses.filter(|(address, _)| !Ipv6::new(address.octets()).is_martian()).collect();
    let is_in_use = |address: &Ipv6Addr| in_use == Some(*address);
    let order = |(address, rank): &&(Ipv6Addr, Rank)| {
        (address.is_unique_local(), !is_in_use(address), *rank)
    };
    let best = all.iter().filter(|(_, rank)| *rank != Rank::Deprecated).min_by_key(order);
    let best = best.or_else(|| all.iter().find(|(address, _)| is_in_use(address)));
    best.map(|(address, _)| *address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE: (&str, Rank) = ("2001:db8::7", Rank::Primary);
    const OTHER: (&str, Rank) = ("2001:db8::8", Rank::Primary);
    const TEMPORARY: (&str, Rank) = ("2001:db8::5", Rank::Temporary);
    const DEPRECATED: (&str, Rank) = ("2001:db8::3", Rank::Deprecated);
    const LOCAL: (&str, Rank) = ("fd00:9::1", Rank::Primary);

    fn assert_chosen(given: &[(&str, Rank)], in_use: Option<&str>, expected: Option<(&str, Rank)>) {
        let parse = |text: &str| text.parse::<Ipv6Addr>().expect("an address");
        let expected = expected.map(|(text, _)| parse(text));
        let addresses = || given.iter().map(|(text, rank)| (parse(text), *rank));
        let in_use = in_use.map(parse);
        assert_eq!(choose(addresses(), in_use), expected, "{given:?} and {in_use:?}");
        assert_eq!(
            choose(addresses().rev(), in_use),
            expected,
            "{given:?} and {in_use:?}, reversed"
        );
    }

    #[test]
    fn the_best_is_chosen() {
        let primary = |text| (text, Rank::Primary);
        assert_chosen(&[], None, None);
        for unusable in ["fe80::1", "ff05::1", "::1", "::ffff:192.0.2.1"].map(primary) {
            assert_chosen(&[unusable], None, None);
            assert_chosen(&[unusable, LOCAL], None, Some(LOCAL));
        }
        assert_chosen(&[DEPRECATED], None, None);
        assert_chosen(&[TEMPORARY], None, Some(TEMPORARY));
        assert_chosen(&[TEMPORARY, STABLE], None, Some(STABLE));
        assert_chosen(&[DEPRECATED, STABLE], None, Some(STABLE));
        assert_chosen(&[DEPRECATED, TEMPORARY], None, Some(TEMPORARY));
        assert_chosen(&[LOCAL, STABLE], None, Some(STABLE));
        assert_chosen(&[LOCAL, TEMPORARY], None, Some(TEMPORARY));
        assert_chosen(&[LOCAL, DEPRECATED], None, Some(LOCAL));
    }

    #[test]
    fn the_one_in_use_is_kept_while_it_is_usable() {
        let in_use = |(text, _): (&'static str, Rank)| Some(text);
        assert_chosen(&[STABLE, OTHER], in_use(STABLE), Some(STABLE));
        assert_chosen(&[STABLE, OTHER], in_use(OTHER), Some(OTHER));
        assert_chosen(&[STABLE, TEMPORARY], in_use(TEMPORARY), Some(TEMPORARY));
        assert_chosen(&[STABLE], in_use(OTHER), Some(STABLE));
        assert_chosen(&[DEPRECATED], in_use(DEPRECATED), Some(DEPRECATED));
        assert_chosen(&[DEPRECATED, TEMPORARY], in_use(DEPRECATED), Some(TEMPORARY));
        // What nobody on the Internet answers is no use.
        assert_chosen(&[LOCAL, TEMPORARY], in_use(LOCAL), Some(TEMPORARY));
        assert_chosen(&[LOCAL], in_use(LOCAL), Some(LOCAL));
        assert_chosen(&[("fe80::1", Rank::Primary)], Some("fe80::1"), None);
    }
}
