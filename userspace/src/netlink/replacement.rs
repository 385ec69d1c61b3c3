use std::collections::BTreeSet;

use super::{DefaultRoute, Fact, Family};

/// Knows the IPv6 default routes, to tell whether the notification of a replacement says what was
/// replaced.
///
/// An IPv4 route of a metric is one, with one next hop or several, so what replaces it takes the
/// place of all of them. IPv6 routes of the same metric stand beside each other. One with a gateway
/// replaces all next hops that were configured with a gateway, and one without the first without;
/// those learned from Router Advertisements count as without. Where there is none of its own kind,
/// it replaces the first of the other. The kernel sends the new route with `NLM_F_REPLACE` and no
/// word of the old ones. It does not tell which are learned, for programs put the protocol `ra` on
/// routes that they configure, too. And it sends a learned route so that only gets another
/// preference (RFC 4191) and replaces nothing.
#[derive(Default)]
pub(super) struct Replacements {
    known: BTreeSet<DefaultRoute>,
}

impl Replacements {
    /// Takes in the facts of one message. Where it cannot be told what an IPv6 route replaces, the
    /// replacement is taken out of them, so that nothing is lost that may still hold, and the
    /// answer is `false`.
    pub(super) fn settle(&mut self, facts: &mut Vec<Fact>) -> bool {
        let before = facts.len();
        facts.retain(|fact| match fact {
            Fact::DefaultRouteReplaced { family: Family::Ipv6, metric } => {
                let clear = self.known.iter().filter(|route| route.metric == *metric).count() < 2;
                if clear {
                    self.known.retain(|route| route.metric != *metric);
                }
                clear
            }
            _ => true,
        });
        for fact in facts.iter() {
            match fact {
                Fact::DefaultRoute(route) if route.family == Family::Ipv6 => {
                    self.known.insert(*route);
                }
                Fact::DefaultRouteGone(route) => {
                    self.known.remove(route);
                }
                _ => {}
            }
        }
        facts.len() == before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(index: u32) -> Fact {
        Fact::DefaultRoute(DefaultRoute { family: Family::Ipv6, metric: 5, index, gateway: None })
    }

    fn replaced(family: Family, metric: u32) -> Fact {
        Fact::DefaultRouteReplaced { family, metric }
    }

    #[test]
    fn what_replaces_the_only_one_of_its_metric_is_clear() {
        let mut replacements = Replacements::default();
        for index in [4, 5, 4] {
            let mut facts = vec![replaced(Family::Ipv6, 5), route(index)];
            assert!(replacements.settle(&mut facts));
            assert_eq!(facts, [replaced(Family::Ipv6, 5), route(index)]);
        }
    }

    #[test]
    fn what_replaces_one_of_several_is_not() {
        let mut replacements = Replacements::default();
        assert!(replacements.settle(&mut vec![route(4), route(5)]));
        for clear in [replaced(Family::Ipv6, 6), replaced(Family::Ipv4, 5)] {
            assert!(replacements.settle(&mut vec![clear]));
        }
        let mut facts = vec![replaced(Family::Ipv6, 5), route(6)];
        assert!(!replacements.settle(&mut facts));
        assert_eq!(facts, [route(6)]);
    }

    #[test]
    fn a_route_that_is_gone_is_not_replaced() {
        let mut replacements = Replacements::default();
        assert!(replacements.settle(&mut vec![route(4), route(5)]));
        let Fact::DefaultRoute(gone) = route(4) else { panic!("it is a route") };
        assert!(replacements.settle(&mut vec![Fact::DefaultRouteGone(gone)]));
        assert!(replacements.settle(&mut vec![replaced(Family::Ipv6, 5), route(6)]));
    }
}
