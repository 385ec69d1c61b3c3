use super::super::{Bfd, Health};
use super::{Differ, Effect, Pair, spelling};
use crate::probe::{DnsProbe, HttpProbe, Probe, ProbeKind};
use crate::uplink::{
    Dampening, Limit, Listening, Metric, Percentile, Quorum, Requirements, Sla, Stability,
    Suspicion,
};

/// An uplink has neither probes nor a session without `health`.
pub(super) fn of_uplink(differ: &mut Differ, (old, new): (Option<&Health>, Option<&Health>)) {
    match (old, new) {
        (Some(old), Some(new)) => {
            differ.below("health.", |differ| health(differ, (old, new)));
        }
        either => {
            let what = |health: &&Health| {
                let bfd = health.bfd.as_ref().map(|_| "a BFD session".to_owned());
                let probes = (!health.probes.is_empty())
                    .then(|| format!("probes {}", spelling::list(ids(&health.probes))));
                let parts: Vec<_> = bfd.into_iter().chain(probes).collect();
                if parts.is_empty() { "the carrier".to_owned() } else { parts.join(" and ") }
            };
            match either {
                (None, Some(new)) if new.bfd.is_some() => {
                    differ.push("health", None, Some(what(&new)), Effect::SessionAnew);
                }
                either => {
                    differ.option("health", (&either.0, &either.1), Effect::FlowsStay, what);
                }
            }
        }
    }
}

fn health(differ: &mut Differ, (old, new): Pair<'_, Health>) {
    let Health { bfd, probes, quorum, down_after, up_after, listening, requirements } = old;
    let stay = Effect::FlowsStay;
    match (bfd, &new.bfd) {
        (Some(old), Some(new)) => differ.below("bfd.", |differ| session(differ, (old, new))),
        (None, Some(new)) => {
            differ.push("bfd", None, Some(spell_session(new)), Effect::SessionAnew);
        }
        either => differ.option("bfd", either, stay, spell_session),
    }
    each_probe(differ, (probes, &new.probes));
    differ.value("quorum", (quorum, &new.quorum), stay, |quorum| match quorum {
        Quorum::Any => spelling::text("any"),
        Quorum::All => spelling::text("all"),
        Quorum::AtLeast(count) => count.to_string(),
    });
    differ.value("down_after", (down_after, &new.down_after), stay, spelling::plain);
    differ.value("up_after", (up_after, &new.up_after), stay, spelling::plain);
    differ.below("passive.", |differ| passive(differ, (listening, &new.listening)));
    let Requirements { sla, stability } = requirements;
    differ.below("sla.", |differ| figures(differ, (sla, &new.requirements.sla)));
    let Stability { hold_down, dampening } = stability;
    let stability = &new.requirements.stability;
    differ.value("hold_down", (hold_down, &stability.hold_down), stay, spelling::duration);
    differ.option("dampening", (dampening, &stability.dampening), stay, spell_dampening);
}

fn spell_session(bfd: &Bfd) -> String {
    format!("{} every {}", bfd.mode.name(), spelling::duration(&bfd.interval))
}

fn session(differ: &mut Differ, (old, new): Pair<'_, Bfd>) {
    let Bfd { interval, multiplier, peer, mode, authentication } = old;
    // Both are told by the packets of the session as it is (RFC 5880 sections 6.8.3 and 6.8.12).
    let stay = Effect::FlowsStay;
    differ.value("interval", (interval, &new.interval), stay, spelling::duration);
    differ.value("multiplier", (multiplier, &new.multiplier), stay, spelling::plain);
    let anew = Effect::SessionAnew;
    differ.value("peer", (peer, &new.peer), anew, |peer| {
        peer.as_ref().map_or_else(|| "the gateway".to_owned(), spelling::text)
    });
    differ.value("mode", (mode, &new.mode), anew, spelling::text);
    // The secret is not to be shown.
    let (old, new) = (authentication, &new.authentication);
    let spell = |it: &Option<crate::bfd::Authentication>| {
        it.as_ref().map(|it| format!("{} with key {}", it.kind_name(), it.key_id()))
    };
    if old != new {
        let (old, new) = (spell(old), spell(new));
        if old == new {
            differ.push("authentication.secret", None, None, anew);
        } else {
            differ.push("authentication", old, new, anew);
        }
    }
}

fn ids(probes: &[Probe]) -> impl Iterator<Item = String> {
    probes.iter().map(|probe| probe.id().to_string())
}

fn each_probe(differ: &mut Differ, (old, new): Pair<'_, Vec<Probe>>) {
    let stay = Effect::FlowsStay;
    for probe in new {
        let key = format!("probe {}", probe.id());
        match old.iter().find(|old| old.id() == probe.id()) {
            Some(old) => differ.value(&key, (old, probe), stay, spell_probe),
            None => differ.push(&key, None, Some(spell_probe(probe)), stay),
        }
    }
    for probe in old.iter().filter(|old| new.iter().all(|new| new.id() != old.id())) {
        differ.push(&format!("probe {}", probe.id()), Some(spell_probe(probe)), None, stay);
    }
    let common = |probes: &[Probe], others: &[Probe]| -> Vec<String> {
        ids(probes).filter(|id| ids(others).any(|other| other == *id)).collect()
    };
    let orders = (&common(old, new), &common(new, old));
    differ.value("order of the probes", orders, stay, |ids| spelling::list(ids));
}

/// What the identity of a probe does not say.
fn spell_probe(probe: &Probe) -> String {
    let Probe { kind, interval, timeout } = probe;
    let mut keys = match kind {
        ProbeKind::Icmp(_) | ProbeKind::Tcp(_) | ProbeKind::Arp | ProbeKind::Nd => Vec::new(),
        ProbeKind::Http(HttpProbe { url: _, server: _, statuses, body, ca }) => {
            let statuses = (!statuses.is_empty()).then(|| format!("status = {statuses:?}"));
            let body = body.as_ref().map(|body| format!("body = {}", spelling::text(body)));
            let ca = ca.as_ref().map(|ca| format!("ca = {}", spelling::text(&ca.display())));
            [statuses, body, ca].into_iter().flatten().collect()
        }
        ProbeKind::Dns(DnsProbe { server: _, name: _, record: _, expect }) => {
            expect.iter().map(|expect| format!("expect = {}", spelling::text(expect))).collect()
        }
    };
    keys.push(format!("interval = {}", spelling::duration(interval)));
    keys.push(format!("timeout = {}", spelling::duration(timeout)));
    format!("{{ {} }}", keys.join(", "))
}

fn passive(differ: &mut Differ, (old, new): Pair<'_, Listening>) {
    let Listening { window, packets, action } = old;
    let stay = Effect::FlowsStay;
    differ.value("action", (action, &new.action), stay, |action| match action {
        Suspicion::Ignored => spelling::text("none"),
        Suspicion::Probed => spelling::text("probe"),
        Suspicion::Believed(retry) => format!("\"down\" for {}", spelling::duration(retry)),
    });
    differ.value("window", (window, &new.window), stay, spelling::duration);
    differ.value("packets", (packets, &new.packets), stay, spelling::plain);
}

fn figures(differ: &mut Differ, (old, new): Pair<'_, Sla>) {
    let Sla { window, min_samples, degraded, down } = old;
    let stay = Effect::FlowsStay;
    differ.value("window", (window, &new.window), stay, spelling::duration);
    differ.value("min_samples", (min_samples, &new.min_samples), stay, spelling::plain);
    for (key, old, new) in [("degraded", degraded, &new.degraded), ("down", down, &new.down)] {
        let (old, new) = (given(old), given(new));
        differ.option(key, (&old, &new), stay, |limits| spell_limits(limits));
    }
}

fn given(limits: &[Limit]) -> Option<&[Limit]> {
    (!limits.is_empty()).then_some(limits)
}

fn spell_limits(limits: &[Limit]) -> String {
    let limit = |limit: &Limit| {
        let Limit { metric, enter, leave } = limit;
        let bound = |value: u32| match metric {
            Metric::Loss => format!("\"{}%\"", f64::from(value) / 10_000.0),
            Metric::Latency(_) | Metric::Jitter(_) => {
                spelling::duration(&std::time::Duration::from_micros(value.into()))
            }
        };
        let name = match metric {
            Metric::Loss => "loss".to_owned(),
            Metric::Latency(percentile) => format!("latency ({})", spell_percentile(*percentile)),
            Metric::Jitter(percentile) => format!("jitter ({})", spell_percentile(*percentile)),
        };
        format!("{name} {} until {}", bound(*enter), bound(*leave))
    };
    limits.iter().map(limit).collect::<Vec<_>>().join(", ")
}

fn spell_percentile(percentile: Percentile) -> &'static str {
    match percentile {
        Percentile::P50 => "p50",
        Percentile::P95 => "p95",
    }
}

fn spell_dampening(dampening: &Dampening) -> String {
    let Dampening { half_life, suppress, reuse, max_suppress } = dampening;
    let (half_life, longest) = (spelling::duration(half_life), spelling::duration(max_suppress));
    format!(
        "{{ half_life = {half_life}, suppress = {suppress}, reuse = {reuse}, max_suppress = {longest} }}"
    )
}
