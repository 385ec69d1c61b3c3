use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use domain::base::Name;
use hyper::Uri;

use super::ProbeId;

/// What is asked of whom through an uplink, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What, and of whom.
    pub kind: ProbeKind,
    /// From one time to the next; at least a millisecond, and taken as that below.
    pub interval: Duration,
    /// How long the answer may take; this may be longer than the interval.
    pub timeout: Duration,
}

impl Probe {
    /// Which one it is.
    pub fn id(&self) -> ProbeId {
        self.kind.id()
    }
}

/// What a probe asks, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// An ICMP or ICMPv6 echo (RFC 792, RFC 4443).
    Icmp(IpAddr),
    /// A TCP connection, which is ended as soon as it is there.
    Tcp(SocketAddr),
    /// A document by HTTP or HTTPS.
    Http(HttpProbe),
    /// A name of a DNS server.
    Dns(DnsProbe),
    /// The MAC of the IPv4 next hop (RFC 826).
    Arp,
    /// The MAC of the IPv6 next hop (RFC 4861).
    Nd,
}

/// What is asked by HTTP, and which answer is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// The document; its scheme is `http` or `https`, and it has a host.
    pub url: Uri,
    /// The server's address, and its port.
    pub server: SocketAddr,
    /// The status codes of a right answer; none: every one of success (2xx).
    pub statuses: Vec<u16>,
    /// What the first 64 KiB of the document have to contain.
    pub body: Option<String>,
    /// By HTTPS, a file in PEM with the certificates of the authorities that are trusted; `None`: those
    /// that the system trusts.
    pub ca: Option<PathBuf>,
}

/// What is asked of a DNS server, and which answer is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsProbe {
    /// The server's address, and its port.
    pub server: SocketAddr,
    /// The name that is looked up.
    pub name: Name<Vec<u8>>,
    /// What of it.
    pub record: DnsRecord,
    /// An address that has to be in the answer; `None`: any.
    pub expect: Option<IpAddr>,
}

/// What a DNS server is asked of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsRecord {
    /// Its IPv4 addresses (RFC 1035).
    #[default]
    A,
    /// Its IPv6 addresses (RFC 3596).
    Aaaa,
}

impl fmt::Display for DnsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        })
    }
}

impl HttpProbe {
    /// The host of the URL, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let host = self.url.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Whether it is by HTTPS.
    pub fn is_https(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }
}

impl ProbeKind {
    /// The kind, as the configuration has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Icmp(_) => "icmp",
            Self::Tcp(_) => "tcp",
            Self::Http(http) if http.is_https() => "https",
            Self::Http(_) => "http",
            Self::Dns(_) => "dns",
            Self::Arp => "arp",
            Self::Nd => "nd",
        }
    }

    /// Who is asked, for people.
    pub fn target(&self) -> String {
        match self {
            Self::Icmp(target) => target.to_string(),
            Self::Tcp(target) => target.to_string(),
            Self::Http(http) => http.url.to_string(),
            Self::Dns(DnsProbe { server, .. }) if server.port() == 53 => server.ip().to_string(),
            Self::Dns(dns) => dns.server.to_string(),
            Self::Arp | Self::Nd => "gateway".to_owned(),
        }
    }

    /// Who is asked, by address; `None` where it is the next hop.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Icmp(target) => Some(*target),
            Self::Tcp(target) => Some(target.ip()),
            Self::Http(http) => Some(http.server.ip()),
            Self::Dns(dns) => Some(dns.server.ip()),
            Self::Arp | Self::Nd => None,
        }
    }

    /// Whether it is asked over IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.address().map_or(matches!(self, Self::Nd), |address| address.is_ipv6())
    }

    fn id(&self) -> ProbeId {
        let (kind, target) = (self.name(), self.target());
        match self {
            Self::Icmp(target) => ProbeId::icmp(*target),
            Self::Tcp(_) | Self::Arp | Self::Nd => ProbeId::new(format!("{kind} {target}")),
            Self::Http(http) if http.host().parse::<IpAddr>().is_ok() => ProbeId::new(target),
            Self::Http(http) => ProbeId::new(format!("{target} at {}", http.server.ip())),
            Self::Dns(DnsProbe { name, record, .. }) => {
                ProbeId::new(format!("{kind} {target} {record} {name}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_it_asks() {
        let http = |url: &str| {
            ProbeKind::Http(HttpProbe {
                url: url.parse().expect("a URL"),
                server: "[2001:db8::1]:80".parse().expect("an address"),
                statuses: Vec::new(),
                body: None,
                ca: None,
            })
        };
        let dns = |server: &str| {
            ProbeKind::Dns(DnsProbe {
                server: server.parse().expect("an address"),
                name: "example.net".parse().expect("a name"),
                record: DnsRecord::Aaaa,
                expect: None,
            })
        };
        for (kind, name, label) in [
            (ProbeKind::Icmp([192, 0, 2, 1].into()), "icmp", "icmp 192.0.2.1"),
            (ProbeKind::Tcp(([192, 0, 2, 1], 443).into()), "tcp", "tcp 192.0.2.1:443"),
            (http("http://[2001:db8::1]/x"), "http", "http://[2001:db8::1]/x"),
            (http("https://example.net/"), "https", "https://example.net/ at 2001:db8::1"),
            (dns("192.0.2.53:53"), "dns", "dns 192.0.2.53 AAAA example.net"),
            (dns("[2001:db8::53]:54"), "dns", "dns [2001:db8::53]:54 AAAA example.net"),
            (ProbeKind::Arp, "arp", "arp gateway"),
            (ProbeKind::Nd, "nd", "nd gateway"),
        ] {
            assert_eq!(kind.name(), name);
            assert_eq!(kind.id(), ProbeId::new(label));
            assert_eq!(
                kind.is_ipv6(),
                label.contains("[2001:db8") || name == "nd" || name == "https"
            );
        }
    }
}
