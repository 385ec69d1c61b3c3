//! A process that stands still for a while.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use pointsman::probe::ProbeKind;

use crate::lab::{BEYOND, Lab, answered, icmp};
use crate::server::Server;
use crate::{dns, http};

/// Long enough that no answer is missed on a machine that is busy.
const TIMEOUT: Duration = Duration::from_millis(300);
const STALL: Duration = Duration::from_millis(400);

/// The whole runtime stands still for longer than the timeout, time after time: first so that a probe is
/// due, and then while it is on its way, further on each time.
fn assert_nothing_is_lost(lab: &Lab, kind: ProbeKind) -> Result<()> {
    lab.probe_within(0, kind, TIMEOUT, async |probed| {
        probed.until(answered).await?;
        for steps in 1..=4 {
            thread::sleep(STALL);
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            thread::sleep(STALL);
            for _ in 0..5 {
                let event = probed.next().await?;
                assert!(answered(&event.outcome), "{event:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn takes_no_echo_that_was_answered_for_lost() -> Result<()> {
    let lab = Lab::routed()?;
    for kind in [icmp(BEYOND), ProbeKind::Arp] {
        assert_nothing_is_lost(&lab, kind)?;
    }
    Ok(())
}

#[test]
fn takes_no_exchange_that_was_answered_for_lost() -> Result<()> {
    let lab = Lab::routed()?;
    let _servers = [
        http::listen(&lab.isps[0], (BEYOND, 80).into())?,
        Server::udp(&lab.isps[0], (BEYOND, 53).into(), dns::answer)?,
    ];
    for kind in [
        ProbeKind::Tcp((BEYOND, 80).into()),
        ProbeKind::Http(http::probe("http://192.0.2.53/health", (BEYOND, 80))),
        ProbeKind::Dns(dns::probe("example.net", (BEYOND, 53))),
    ] {
        assert_nothing_is_lost(&lab, kind)?;
    }
    Ok(())
}
