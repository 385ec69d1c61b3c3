use std::time::Duration;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};

use super::daemon::{ANSWER_BOUND, Socket, ask};
use super::output::say;
use crate::api::status::{ProbeStatus, QualityStatus, Status, TcpStatus, Traffic, UplinkStatus};
use crate::api::{BfdStatus, fetch_status};

/// What to show, and of whom.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Socket,
}

/// Prints the status of a running daemon.
pub(super) fn status(arguments: &Arguments) -> anyhow::Result<()> {
    let socket = arguments.daemon.socket();
    let status = ask(socket, ANSWER_BOUND, fetch_status(socket))?;
    if arguments.json {
        say(serde_json::to_string_pretty(&status).context("cannot write JSON")?)?;
    } else {
        say(render(&status))?;
    }
    Ok(())
}

/// The status for people.
fn render(status: &Status) -> String {
    let mut text = format!(
        "pointsman {}, process {}, running for {}\n{}\n{} of {} flow entries in use",
        status.version,
        status.pid,
        duration(status.uptime_s),
        uplinks(status),
        status.flows.entries,
        status.flows.max
    );
    for (what, reasons) in [
        ("dropped packets", &status.drops),
        ("dropped packets, whose senders were told", &status.answered),
    ] {
        let counts: Vec<_> =
            reasons.iter().filter(|(_, traffic)| traffic.packets > 0).map(counted).collect();
        if !counts.is_empty() {
            text += &format!("\n{what}: {}", counts.join(", "));
        }
    }
    if status.flows.ipv6_entries > 0 {
        text += &format!(
            "\n{} of {} entries of IPv6 flows in use",
            status.flows.ipv6_entries, status.flows.ipv6_max
        );
    }
    for uplink in &status.uplinks {
        if let Some(why) = uplink.ipv6.as_ref().and_then(|ipv6| ipv6.missing.as_ref()) {
            text += &format!("\nuplink {:?} carries no IPv6 yet: {why}", uplink.name);
        }
    }
    for forward in &status.forwards {
        if let Some(why) = &forward.unresolved {
            text += &format!("\nthe forward of {} does not work: {why}", forward.name);
        }
    }
    if let Some(rebalance) = &status.rebalance {
        text += &format!(
            "\nrebalance: {} flows moved, {} to move, {} wait until they are silent, {} stay",
            rebalance.moved, rebalance.to_move, rebalance.waiting, rebalance.staying
        );
    }
    if let Some(error) = &status.last_reload_error {
        text += &format!("\nthe last reload changed nothing:\n{error}");
    }
    text
}

fn counted((reason, traffic): (&String, &Traffic)) -> String {
    format!("{} {}", traffic.packets, reason.replace('_', " "))
}

fn uplinks(status: &Status) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header([
        "uplink",
        "state",
        "for",
        "reason",
        "interface",
        "address",
        "gateway",
        "weight",
        "probes",
        "quality",
        "packets out",
        "in",
        "hairpin",
    ]);
    for uplink in &status.uplinks {
        table.add_row(row(uplink));
    }
    for index in [7, 10, 11, 12] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn row(uplink: &UplinkStatus) -> [String; 13] {
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    [
        uplink.name.clone(),
        uplink.state.clone(),
        duration(uplink.since_s),
        reason(uplink),
        uplink.interface.clone(),
        addresses(uplink),
        or_none(gateways(uplink)),
        uplink.weight.to_string(),
        uplink
            .bfd
            .iter()
            .map(bfd)
            .chain(uplink.probes.iter().map(probe))
            .collect::<Vec<_>>()
            .join("\n"),
        or_none(figures(uplink)),
        uplink.out.packets.to_string(),
        uplink.back.packets.to_string(),
        uplink.hairpin.packets.to_string(),
    ]
}

/// Why it is as it is, and what is done with it all the same.
fn reason(uplink: &UplinkStatus) -> String {
    let role = if uplink.last_resort { "; kept as the last resort" } else { "" };
    let drained =
        uplink.drained.as_ref().map(|drained| format!("; {drained}, {} left", flows(uplink.flows)));
    let suspicion = match &uplink.silent {
        Some(silent) if uplink.state != "down" => format!("; suspect: {silent}"),
        _ => String::new(),
    };
    format!("{}{suspicion}{role}{}", uplink.reason, drained.unwrap_or_default())
}

/// What is known of its path, by its probes and its traffic.
fn figures(uplink: &UplinkStatus) -> Option<String> {
    let probed = uplink.quality.iter().flat_map(quality);
    let known: Vec<_> = probed.chain(uplink.tcp.iter().flat_map(tcp)).collect();
    (!known.is_empty()).then(|| known.join("\n"))
}

/// The figures of a path that are known: delays as their median and their 95th percentile.
fn quality(quality: &QualityStatus) -> impl Iterator<Item = String> {
    let figures = [
        quality.loss.map(|loss| format!("loss {:.1} %", loss * 1e2)),
        delays("latency", quality.latency_p50_ms, quality.latency_p95_ms),
        delays("jitter", quality.jitter_p50_ms, quality.jitter_p95_ms),
    ];
    figures.into_iter().flatten()
}

/// The same of the LAN's connections.
fn tcp(tcp: &TcpStatus) -> impl Iterator<Item = String> {
    let again = tcp.retransmitted.filter(|share| *share > 0.0);
    let figures = [
        delays("tcp", tcp.rtt_p50_ms, tcp.rtt_p95_ms),
        again.map(|share| format!("SYNs sent again {:.1} %", share * 1e2)),
    ];
    figures.into_iter().flatten()
}

fn delays(name: &str, p50: Option<f64>, p95: Option<f64>) -> Option<String> {
    Some(format!("{name} {:.1}/{:.1} ms", p50?, p95?))
}

fn gateways(uplink: &UplinkStatus) -> Option<String> {
    let gateway6 = uplink.ipv6.as_ref().and_then(|ipv6| ipv6.gateway);
    let gateway = uplink.gateway.map(|gateway| gateway.to_string());
    let gateways: Vec<_> = gateway.into_iter().chain(gateway6.map(|it| it.to_string())).collect();
    (!gateways.is_empty()).then(|| gateways.join("\n"))
}

/// The addresses, and the prefixes that are carried otherwise than translated to one, and how.
fn addresses(uplink: &UplinkStatus) -> String {
    let routed = uplink.routed.iter().flat_map(|routed| &routed.prefixes);
    let routed = routed.map(|prefix| format!("{prefix} routed"));
    let prefixes = uplink
        .ipv6
        .iter()
        .flat_map(|ipv6| ipv6.prefixes.iter().map(|prefix| format!("{prefix} {}", ipv6.mode)));
    let shared =
        uplink.ipv6.iter().filter_map(|ipv6| Some(format!("{} {}", ipv6.address?, ipv6.mode)));
    let addresses = uplink.addresses.iter().map(ToString::to_string);
    let addresses: Vec<_> = addresses.chain(routed).chain(prefixes).chain(shared).collect();
    if addresses.is_empty() { "-".into() } else { addresses.join("\n") }
}

fn bfd(bfd: &BfdStatus) -> String {
    let peer = bfd.peer.map(|peer| format!(" {peer}")).unwrap_or_default();
    // What is the most usual needs no word.
    let mode = match bfd.mode.as_str() {
        "single-hop" => String::new(),
        mode => format!(" {mode}"),
    };
    let state = bfd.state.replace('_', " ");
    let detection = bfd.detection_ms.map(|time| format!(", silent for {time} ms is dead"));
    let reason = bfd.reason.as_ref().map(|reason| format!(": {reason}"));
    let more = detection.or(reason).unwrap_or_default();
    format!("bfd{mode}{peer} {state}{more}")
}

fn probe(probe: &ProbeStatus) -> String {
    let ProbeStatus { name, last, rtt_ms, error, .. } = probe;
    match (rtt_ms, error) {
        (Some(rtt), _) => format!("{name} {last} in {rtt:.1} ms"),
        (None, Some(error)) => format!("{name} {last}: {error}"),
        (None, None) => format!("{name} {last}"),
    }
}

/// So many flows, in words.
pub(super) fn flows(number: usize) -> String {
    super::check::counted(number, "flow")
}

/// A time span of whole seconds.
fn duration(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.max(0.0) as u64)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_shows_what_is_known() {
        let mut path = QualityStatus {
            loss: None,
            latency_p50_ms: None,
            latency_p95_ms: None,
            jitter_p50_ms: None,
            jitter_p95_ms: None,
        };
        let shown = |path: &QualityStatus| quality(path).collect::<Vec<_>>().join("\n");
        assert_eq!(shown(&path), "");
        path.loss = Some(0.384_615);
        assert_eq!(shown(&path), "loss 38.5 %");
        (path.latency_p50_ms, path.latency_p95_ms) = (Some(12.0), Some(312.06));
        (path.jitter_p50_ms, path.jitter_p95_ms) = (Some(0.04), Some(1.0));
        let all = "loss 38.5 %\nlatency 12.0/312.1 ms\njitter 0.0/1.0 ms";
        assert_eq!(shown(&path), all);
    }

    #[test]
    fn connections_show_what_is_known() {
        let mut path = TcpStatus {
            handshakes: 7,
            retransmissions: 0,
            retransmitted: Some(0.0),
            rtt_p50_ms: None,
            rtt_p95_ms: None,
        };
        let shown = |path: &TcpStatus| tcp(path).collect::<Vec<_>>().join("\n");
        assert_eq!(shown(&path), "");
        (path.rtt_p50_ms, path.rtt_p95_ms) = (Some(12.0), Some(312.06));
        assert_eq!(shown(&path), "tcp 12.0/312.1 ms");
        (path.retransmissions, path.retransmitted) = (1, Some(0.125));
        assert_eq!(shown(&path), "tcp 12.0/312.1 ms\nSYNs sent again 12.5 %");
    }

    #[test]
    fn a_session_says_its_mode_unless_it_is_the_usual_one() {
        let mut session = BfdStatus {
            mode: "echo".into(),
            peer: Some([203, 0, 113, 1].into()),
            state: "up".into(),
            reason: None,
            transmit_ms: Some(10.0),
            detection_ms: Some(30.0),
        };
        assert_eq!(bfd(&session), "bfd echo 203.0.113.1 up, silent for 30 ms is dead");
        session.mode = "single-hop".into();
        (session.state, session.detection_ms) = ("down".into(), None);
        session.reason = Some("control detection time expired".into());
        assert_eq!(bfd(&session), "bfd 203.0.113.1 down: control detection time expired");
    }
}
