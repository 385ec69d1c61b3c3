use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use domain::base::Name;
use humantime::format_duration;
use hyper::Uri;
use tokio_rustls::rustls::pki_types::ServerName;

use super::address;
use super::diagnostic::Report;
use super::section::{Field, Section};
use super::suggest::quoted;
use crate::probe::{DnsProbe, DnsRecord, HttpProbe, Probe, ProbeKind};

const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// Of what makes work for a server.
const SHORTEST_EXCHANGE_INTERVAL: Duration = Duration::from_millis(50);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How many times one probe can be under way at once.
const UNDER_WAY: u32 = 10;

const KIND: &str = "write kind = \"icmp\"";
const KINDS: &[(&str, Kind)] = &[
    ("icmp", Kind::Icmp),
    ("tcp", Kind::Tcp),
    ("http", Kind::Http),
    ("https", Kind::Https),
    ("dns", Kind::Dns),
    ("arp", Kind::Arp),
    ("nd", Kind::Nd),
];
const RECORDS: &[(&str, DnsRecord)] = &[("A", DnsRecord::A), ("AAAA", DnsRecord::Aaaa)];

const ECHOER: &str = "give the address of a host beyond the provider's router that answers pings";
const LISTENER: &str =
    "give an address and a port, such as \"192.0.2.1:443\" or \"[2001:db8::1]:443\"";
const SERVER: &str = "give the address of the server, such as \"192.0.2.53\", and its port where that is \
                      not 53";
const NAME: &str = "give a name that the server knows, such as \"example.net\"";
const ADDRESS: &str = "give the address of the URL's host, such as \"192.0.2.1\": the daemon asks no \
                       resolver";
const BODY: &str = "give text that the document has, or leave it out";
const CA: &str = "give the path of a file in PEM with the certificates to trust, or leave it out for those \
                  that the system trusts";
const EXPECT: &str = "give an address of that name, or leave it out for any";
const STATUS: &str = ", or leave it out for 200 to 299";

/// What the file calls the kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Icmp,
    Tcp,
    Http,
    Https,
    Dns,
    Arp,
    Nd,
}

/// When probes are sent and given up, unless they say so themselves.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    interval: Duration,
    /// Without one, the interval as far as the bounds let it be.
    timeout: Option<Duration>,
}

impl Pace {
    /// Reads what is given here; the rest is as `around`.
    pub(super) fn read(report: &mut Report<'_>, section: &Section<'_>, around: Self) -> Self {
        let interval = section
            .get("interval")
            .and_then(|field| field.duration(report, SHORTEST_INTERVAL..=LONGEST_INTERVAL));
        let field = section.get("timeout");
        let timeout = field
            .as_ref()
            .and_then(|field| field.duration(report, SHORTEST_TIMEOUT..=LONGEST_TIMEOUT));
        let pace = Self {
            interval: interval.unwrap_or(around.interval),
            timeout: timeout.or(around.timeout),
        };
        let most = pace.interval * UNDER_WAY;
        let culprit = field.or_else(|| section.get("interval")).filter(|_| pace.timeout() > most);
        if let Some(field) = culprit {
            let (timeout, most) = (format_duration(pace.timeout()), format_duration(most));
            field.error(
                report,
                format_args!(
                    "{} \"{timeout}\", more than {UNDER_WAY} times the interval; give \"{most}\" at \
                     most, or a longer interval",
                    if section.get("timeout").is_some() { "is" } else { "makes the timeout" },
                ),
            );
        }
        pace
    }

    /// With this interval, and the timeout that follows from it.
    pub(super) const fn of(interval: Duration) -> Self {
        Self { interval, timeout: None }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.interval.min(LONGEST_TIMEOUT))
    }
}

/// Reads one probe of an uplink that carries IPv6 or does not; it has the pace of those `around` it.
pub(super) fn read(
    report: &mut Report<'_>,
    field: &Field<'_>,
    around: Pace,
    ipv6: bool,
) -> Option<Probe> {
    let section = field.table(report, "write { kind = \"icmp\", target = \"192.0.2.53\" }")?;
    // Each kind of probe has keys of its own: without one, nothing more is to be said.
    let kind = section.require(report, "kind", KIND)?.choice(report, KINDS, &[])?;
    let own: &[&str] = match kind {
        Kind::Icmp | Kind::Tcp => &["target"],
        Kind::Http => &["url", "address", "status", "body"],
        Kind::Https => &["url", "address", "status", "body", "ca"],
        Kind::Dns => &["server", "name", "type", "expect"],
        Kind::Arp | Kind::Nd => &[],
    };
    section.expect_keys(report, &[&["kind"], own, &["interval", "timeout"]].concat(), &[]);
    let pace = Pace::read(report, &section, around);
    if matches!(kind, Kind::Tcp | Kind::Http | Kind::Https | Kind::Dns)
        && pace.interval < SHORTEST_EXCHANGE_INTERVAL
    {
        let least = format_duration(SHORTEST_EXCHANGE_INTERVAL);
        field.error(
            report,
            format_args!(
                "has an interval that is too short for its kind; give it \"{least}\" or more"
            ),
        );
    }
    let kind = match kind {
        Kind::Icmp => ProbeKind::Icmp(read_echoer(report, &section)?),
        Kind::Tcp => ProbeKind::Tcp(read_listener(report, &section)?),
        Kind::Http => ProbeKind::Http(read_http(report, &section, "http")?),
        Kind::Https => ProbeKind::Http(read_http(report, &section, "https")?),
        Kind::Dns => ProbeKind::Dns(read_dns(report, &section)?),
        Kind::Arp => ProbeKind::Arp,
        Kind::Nd => ProbeKind::Nd,
    };
    if kind.is_ipv6() && !ipv6 {
        field.error(
            report,
            "goes over IPv6, which the uplink does not carry; give the uplink ipv6, or ask over IPv4",
        );
    }
    Some(Probe { kind, interval: pace.interval, timeout: pace.timeout() })
}

fn read_echoer(report: &mut Report<'_>, section: &Section<'_>) -> Option<IpAddr> {
    let field = section.require(report, "target", ECHOER)?;
    let text = field.string(report, ECHOER)?;
    address::read(report, &field, text, ECHOER)
}

fn read_listener(report: &mut Report<'_>, section: &Section<'_>) -> Option<SocketAddr> {
    let field = section.require(report, "target", LISTENER)?;
    let text = field.string(report, LISTENER)?;
    address::read_with_port(report, &field, text, None, LISTENER)
}

fn read_http(report: &mut Report<'_>, section: &Section<'_>, scheme: &str) -> Option<HttpProbe> {
    let statuses = section.get("status").map(|field| read_statuses(report, &field));
    let body = section.get("body").and_then(|field| read_body(report, &field));
    let ca = section.get("ca").and_then(|field| read_ca(report, &field));
    let fix =
        format!("give what a browser would be given, such as \"{scheme}://192.0.2.1/health\"");
    let field = section.require(report, "url", &fix)?;
    let url = read_url(report, &field, scheme, &fix);
    let given = section.get("address");
    let url = url?;
    let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let host = url.host().unwrap_or_default();
    let literal = unbracketed(host);
    let address = if literal.parse::<IpAddr>().is_ok() {
        if let Some(given) = given {
            given.error(report, "is given beside a URL that has an address itself; remove it");
        }
        address::read(report, &field, literal, &fix)?
    } else {
        let field = section.require(report, "address", ADDRESS)?;
        let text = field.string(report, ADDRESS)?;
        address::read(report, &field, text, ADDRESS)?
    };
    let statuses = statuses.unwrap_or_default();
    Some(HttpProbe { url, server: SocketAddr::new(address, port), statuses, body, ca })
}

fn read_url(report: &mut Report<'_>, field: &Field<'_>, scheme: &str, fix: &str) -> Option<Uri> {
    let text = field.string(report, fix)?;
    let url = match Uri::from_str(text) {
        Ok(url) => url,
        Err(error) => {
            field.error(report, format_args!("is {}, no URL ({error}); {fix}", quoted(text)));
            return None;
        }
    };
    let complaint = match (url.scheme_str(), url.authority()) {
        (None, _) | (_, None) => Some("not a whole URL"),
        (Some(given), _) if given != scheme => Some("of another scheme than the kind of the probe"),
        (_, Some(authority)) if authority.as_str().contains('@') => Some("with a user's name"),
        (_, Some(authority)) if authority.host().is_empty() => Some("without a host"),
        (_, Some(authority)) if authority.port_u16() == Some(0) => Some("of a port that is none"),
        (_, Some(authority)) if scheme == "https" && !is_server_name(authority.host()) => {
            Some("of a host that no certificate can name")
        }
        _ => None,
    };
    if let Some(complaint) = complaint {
        field.error(report, format_args!("is {}, {complaint}; {fix}", quoted(text)));
        return None;
    }
    Some(url)
}

/// A URL's host, an IPv6 address without its brackets.
fn unbracketed(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether TLS can ask for a server of this name, or at this address.
fn is_server_name(host: &str) -> bool {
    ServerName::try_from(unbracketed(host)).is_ok()
}

/// Reads one status code, or a list of them.
fn read_statuses(report: &mut Report<'_>, field: &Field<'_>) -> Vec<u16> {
    let one = |report: &mut Report<'_>, field: &Field<'_>| {
        field.integer(report, 100..=599, STATUS).and_then(|status| u16::try_from(status).ok())
    };
    if field.value.as_array().is_none() {
        return one(report, field).into_iter().collect();
    }
    let listed = field.list(report, format_args!("give 100 to 599{STATUS}")).unwrap_or_default();
    listed.iter().filter_map(|field| one(report, field)).collect()
}

fn read_body(report: &mut Report<'_>, field: &Field<'_>) -> Option<String> {
    let text = field.string(report, BODY)?;
    if text.is_empty() {
        field.error(report, format_args!("is empty; {BODY}"));
    }
    Some(text.to_owned())
}

fn read_ca(report: &mut Report<'_>, field: &Field<'_>) -> Option<PathBuf> {
    let path = PathBuf::from(field.string(report, CA)?);
    if !path.is_absolute() {
        let shown = quoted(&path.to_string_lossy());
        field.error(report, format_args!("is {shown}, not an absolute path; {CA}"));
    }
    Some(path)
}

fn read_dns(report: &mut Report<'_>, section: &Section<'_>) -> Option<DnsProbe> {
    let record = section.get("type").and_then(|field| field.choice(report, RECORDS, &[]));
    let record = record.unwrap_or_default();
    let expect = section.get("expect").and_then(|field| read_expected(report, &field, record));
    let name = section.require(report, "name", NAME).and_then(|field| read_name(report, &field));
    let field = section.require(report, "server", SERVER)?;
    let text = field.string(report, SERVER)?;
    let server = address::read_with_port(report, &field, text, Some(53), SERVER)?;
    Some(DnsProbe { server, name: name?, record, expect })
}

fn read_name(report: &mut Report<'_>, field: &Field<'_>) -> Option<Name<Vec<u8>>> {
    let text = field.string(report, NAME)?;
    let name = Name::from_str(text);
    if let Err(error) = &name {
        field.error(report, format_args!("is {}, no name ({error}); {NAME}", quoted(text)));
    }
    name.ok()
}

fn read_expected(report: &mut Report<'_>, field: &Field<'_>, record: DnsRecord) -> Option<IpAddr> {
    let text = field.string(report, EXPECT)?;
    let Ok(address) = text.parse::<IpAddr>() else {
        field.error(report, format_args!("is {}, not an address; {EXPECT}", quoted(text)));
        return None;
    };
    if address.is_ipv6() != (record == DnsRecord::Aaaa) {
        field.error(report, format_args!("is {address}, which no {record} record has; {EXPECT}"));
    }
    Some(address)
}

#[cfg(test)]
mod tests;
