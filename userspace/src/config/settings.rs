use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman_ebpf::abi::Vlan;

use super::desired::{Api, Lan, Timers};
use super::diagnostic::Report;
use super::interface::Interfaces;
use super::section::{Field, Section};
use super::suggest::quoted;

const INTERFACES: &str = "write interfaces = [\"lan0\"] below [lan]";
const TIMER_BOUNDS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);
const DEFAULT_SOCKET: &str = "/run/pointsman/pointsman.sock";
/// The longest path of a Unix socket, in bytes: `sun_path` less the NUL (unix(7)).
const SOCKET_LENGTH: usize = 107;

/// Reads `[lan]`.
pub(super) fn read_lan(
    report: &mut Report<'_>,
    root: &Section<'_>,
    interfaces: &mut Interfaces,
) -> Lan {
    let names = root.require(report, "lan", "write [lan] and below it interfaces = [\"lan0\"]");
    let names = names.and_then(|field| {
        let section = field.table(report, INTERFACES)?;
        section.expect_keys(report, &["interfaces"], &[]);
        section.require(report, "interfaces", INTERFACES)?.list(report, INTERFACES)
    });
    let names = names.unwrap_or_default();
    Lan {
        interfaces: names
            .iter()
            .filter_map(|field| interfaces.read(report, field, Vlan::NONE, "the LAN"))
            .collect(),
    }
}

/// A timer of RFC 4787, 5382 or 5508: its key, the least that the RFC allows in seconds, which is
/// also the default, and the requirement that says so.
struct TimerRule {
    key: &'static str,
    least_seconds: u64,
    requirement: &'static str,
}

const UDP: TimerRule =
    TimerRule { key: "udp", least_seconds: 2 * 60, requirement: "RFC 4787 REQ-5" };
const TCP_ESTABLISHED: TimerRule = TimerRule {
    key: "tcp_established",
    least_seconds: (2 * 60 + 4) * 60,
    requirement: "RFC 5382 REQ-5",
};
const TCP_TRANSITORY: TimerRule =
    TimerRule { key: "tcp_transitory", least_seconds: 4 * 60, requirement: "RFC 5382 REQ-5" };
const ICMP: TimerRule = TimerRule { key: "icmp", least_seconds: 60, requirement: "RFC 5508 REQ-2" };

/// Reads `[timers]`.
pub(super) fn read_timers(report: &mut Report<'_>, root: &Section<'_>) -> Timers {
    let section = optional_table(report, root, "timers");
    if let Some(section) = &section {
        let keys = [UDP.key, TCP_ESTABLISHED.key, TCP_TRANSITORY.key, ICMP.key];
        section.expect_keys(report, &keys, &[]);
    }
    let mut read = |rule: TimerRule| {
        section
            .as_ref()
            .and_then(|section| section.get(rule.key))
            .and_then(|field| read_timer(report, &field, &rule))
            .unwrap_or(Duration::from_secs(rule.least_seconds))
    };
    Timers {
        udp: read(UDP),
        tcp_established: read(TCP_ESTABLISHED),
        tcp_transitory: read(TCP_TRANSITORY),
        icmp: read(ICMP),
    }
}

fn read_timer(report: &mut Report<'_>, field: &Field<'_>, rule: &TimerRule) -> Option<Duration> {
    let timer = field.duration(report, TIMER_BOUNDS)?;
    let least = Duration::from_secs(rule.least_seconds);
    if timer < least {
        field.warn(
            report,
            format_args!(
                "is \"{}\", less than {} requires; give \"{}\" or more, or some flows end early",
                humantime::format_duration(timer),
                rule.requirement,
                humantime::format_duration(least)
            ),
        );
    }
    Some(timer)
}

/// Reads `[api]`.
pub(super) fn read_api(report: &mut Report<'_>, root: &Section<'_>) -> Api {
    let socket = optional_table(report, root, "api").and_then(|section| {
        section.expect_keys(report, &["socket"], &[]);
        section.get("socket").and_then(|field| read_socket(report, &field))
    });
    Api { socket: socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)) }
}

fn read_socket(report: &mut Report<'_>, field: &Field<'_>) -> Option<PathBuf> {
    let fix = "give an absolute path of 107 bytes at most";
    let text = field.string(report, fix)?;
    let path = Path::new(text);
    if !path.is_absolute() || text.contains('\0') {
        field.error(report, format_args!("is {}, not an absolute path; {fix}", quoted(text)));
    } else if text.len() > SOCKET_LENGTH {
        field.error(report, format_args!("is {} bytes long; {fix}", text.len()));
    }
    Some(path.to_owned())
}

/// A table that need not be there.
pub(super) fn optional_table<'t>(
    report: &mut Report<'_>,
    root: &Section<'t>,
    name: &str,
) -> Option<Section<'t>> {
    root.get(name)?.table(report, format_args!("write [{name}] above its keys"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, complaints_about, config_with};
    use super::*;

    #[test]
    fn reads_what_is_given() {
        let config = config_with(
            "[timers]\nudp = \"5m\"\ntcp_established = \"1day\"\n[api]\nsocket = \"/tmp/p.sock\"",
        );
        assert_eq!(config.timers.udp, Duration::from_secs(300));
        assert_eq!(config.timers.tcp_established, Duration::from_secs(86_400));
        assert_eq!(config.timers.icmp, Duration::from_secs(60));
        assert_eq!(config.api.socket, Path::new("/tmp/p.sock"));
    }

    #[test]
    fn lan_has_interfaces() {
        let uplink = "[[uplink]]\nname = \"fiber\"\ninterface = \"wan0\"\n";
        for (lan, found) in [
            ("[lan]\n", "4:1: lan.interfaces is missing"),
            ("[lan]\ninterfaces = []\n", "5:14: lan.interfaces is empty"),
            ("[lan]\ninterfaces = \"lan0\"\n", "5:14: lan.interfaces is text"),
        ] {
            assert_eq!(
                complaints_about(&format!("{uplink}{lan}")),
                [format!("{found}; {INTERFACES}")]
            );
        }
    }

    #[test]
    fn timers_below_the_rfcs_are_warned_of() {
        for (key, given, least, requirement) in [
            ("udp", "1m 59s", "2m", "RFC 4787 REQ-5"),
            ("tcp_established", "2h 3m", "2h 4m", "RFC 5382 REQ-5"),
            ("tcp_transitory", "1s", "4m", "RFC 5382 REQ-5"),
            ("icmp", "59s", "1m", "RFC 5508 REQ-2"),
        ] {
            assert_eq!(
                complaints(&format!("[timers]\n{key} = \"{given}\"")),
                [format!(
                    "10:{}: warning: timers.{key} is \"{given}\", less than {requirement} \
                     requires; give \"{least}\" or more, or some flows end early",
                    key.len() + 4
                )]
            );
        }
    }

    #[test]
    fn timers_are_bounded() {
        assert_eq!(
            complaints("[timers]\nudp = \"999ms\"\nicmp = \"31days\"\ntcp = \"1h\""),
            [
                "10:7: timers.udp is \"999ms\"; give a duration, \"1s\" to \"30days\"",
                "11:8: timers.icmp is \"31days\"; give a duration, \"1s\" to \"30days\"",
                "12:1: timers.tcp is not a known key; known here: udp, tcp_established, \
                 tcp_transitory, icmp",
            ]
        );
    }

    #[test]
    fn socket_is_an_absolute_path_that_fits() {
        let fix = "give an absolute path of 107 bytes at most";
        for (given, found) in [
            ("\"p.sock\"".to_owned(), "is \"p.sock\", not an absolute path"),
            ("\"/a\\u0000b\"".to_owned(), "is \"/a\\0b\", not an absolute path"),
            (format!("\"/{}\"", "x".repeat(107)), "is 108 bytes long"),
            ("[]".to_owned(), "is a list"),
        ] {
            assert_eq!(
                complaints(&format!("[api]\nsocket = {given}")),
                [format!("10:10: api.socket {found}; {fix}")]
            );
        }
    }
}
