//! Gateways as most tests want them.

use pointsman_lab::Site;

use crate::support::{Gateway, configuration, single_configuration};

impl Gateway {
    /// Builds a site, and waits until both uplinks are up.
    pub(crate) fn start() -> Self {
        Self::of(Site::builder().client_addresses(64).build().unwrap(), "")
    }

    /// Starts the daemon in the gateway of a site, with `more` in its configuration, and waits
    /// until all uplinks are up.
    pub(crate) fn of(site: Site, more: &str) -> Self {
        let uplinks = site.uplinks.len();
        Self::configured(site, |directory| match uplinks {
            1 => single_configuration(directory, more),
            _ => configuration(directory) + more,
        })
    }
}
