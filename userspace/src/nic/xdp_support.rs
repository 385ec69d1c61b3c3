use std::fmt;

use super::Error;
use super::genetlink::{self, Family, attribute};

/// The request and its attributes (linux/netdev.h).
const DEV_GET: u8 = 1;
const IFINDEX: u16 = 1;
const XDP_FEATURES: u16 = 3;

/// Bits of [`XDP_FEATURES`] (`NETDEV_XDP_ACT_`).
const BASIC: u64 = 1;
const REDIRECT: u64 = 1 << 1;
const TRANSMIT: u64 = 1 << 2;
const RECEIVE_FRAGMENTS: u64 = 1 << 5;
const TRANSMIT_FRAGMENTS: u64 = 1 << 6;

/// What an interface's driver does for XDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpSupport {
    /// Programs run in the driver.
    pub native: bool,
    /// Their packets go on to other interfaces.
    pub redirect: bool,
    /// Packets of programs on other interfaces are sent. Some drivers say so only while they have a
    /// program themselves.
    pub transmit: bool,
    /// Programs get frames that are larger than a page.
    pub receive_fragments: bool,
    /// Such frames are sent.
    pub transmit_fragments: bool,
}

impl From<u64> for XdpSupport {
    fn from(bits: u64) -> Self {
        let has = |bit| bits & bit != 0;
        Self {
            native: has(BASIC),
            redirect: has(REDIRECT),
            transmit: has(TRANSMIT),
            receive_fragments: has(RECEIVE_FRAGMENTS),
            transmit_fragments: has(TRANSMIT_FRAGMENTS),
        }
    }
}

impl fmt::Display for XdpSupport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.redirect, "redirects"),
            (self.transmit, "sends what others redirect"),
            (self.receive_fragments, "receives frames larger than a page"),
            (self.transmit_fragments, "sends them"),
        ];
        f.write_str(if self.native { "yes" } else { "no" })?;
        for (has, part) in parts {
            if has {
                write!(f, ", {part}")?;
            }
        }
        Ok(())
    }
}

/// What the driver of the interface with this index does for XDP.
///
/// # Errors
/// Where the kernel does not tell: before Linux 6.3, it cannot.
pub fn xdp_support(ifindex: u32) -> Result<XdpSupport, Error> {
    let family = Family::open("netdev", "Linux 6.3")?;
    let answer = family.get(DEV_GET, attribute(IFINDEX, ifindex.to_ne_bytes().into()))?;
    let bits = genetlink::find(&answer, XDP_FEATURES).and_then(|value| value.try_into().ok());
    Ok(u64::from_ne_bytes(bits.ok_or(Error::Answer("XDP features"))?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_told_in_words() {
        assert_eq!(XdpSupport::from(0).to_string(), "no");
        assert_eq!(XdpSupport::from(0b11).to_string(), "yes, redirects");
        assert_eq!(
            XdpSupport::from(0b110_0111).to_string(),
            "yes, redirects, sends what others redirect, receives frames larger than a page, \
             sends them"
        );
    }
}
