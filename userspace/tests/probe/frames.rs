//! ICMP echo and ARP, without any route.

use std::io;

use anyhow::{Context as _, Result, bail};
use pointsman::probe::{Outcome, Path, Probe, ProbeKind, Prober};
use tokio::sync::{mpsc, watch};

use crate::lab::{ABSENT, BEYOND, BOUND, FAR, Lab, answered, icmp};

#[test]
fn targets_answer_by_either_uplink_without_any_route() -> Result<()> {
    let lab = Lab::new()?;
    for uplink in [0, 1] {
        for kind in [icmp(FAR), icmp(BEYOND), ProbeKind::Arp] {
            lab.assert_answered(uplink, kind)?;
        }
    }
    Ok(())
}

#[test]
fn a_silent_target_is_lost() -> Result<()> {
    let lab = Lab::new()?;
    lab.assert_outcome(0, icmp(ABSENT), &Outcome::Lost)
}

#[test]
fn probes_never_leave_by_the_other_uplink() -> Result<()> {
    let lab = Lab::new()?;
    // A route by which the kernel itself would reach the target.
    lab.host.ip(&format!("route add {BEYOND} via {FAR} dev wan0"))?;
    lab.isps[1].ip(&format!("address del {BEYOND}/32 dev lo"))?;
    lab.assert_outcome(1, icmp(BEYOND), &Outcome::Lost)
}

#[test]
fn nothing_leaves_by_the_other_uplink_when_one_is_down() -> Result<()> {
    for kind in [icmp(BEYOND), ProbeKind::Arp] {
        Lab::routed()?.assert_nothing_leaves_by_the_other(&kind)?;
    }
    Ok(())
}

#[test]
fn a_next_hop_of_unknown_mac_is_asked_for_by_everyone() -> Result<()> {
    let lab = Lab::new()?;
    lab.probe(0, ProbeKind::Arp, async |probed| {
        probed.until(answered).await?;
        probed.path.send_modify(|path| path.ipv4.gateway_mac = None);
        for _ in 0..5 {
            let event = probed.next().await?;
            assert!(answered(&event.outcome), "{event:?}");
        }
        Ok(())
    })
}

#[test]
fn a_next_hop_that_is_another_one_now_does_not_answer() -> Result<()> {
    let lab = Lab::new()?;
    lab.probe(0, ProbeKind::Arp, async |probed| {
        probed.until(answered).await?;
        lab.isps[0].ip(&format!("address del {FAR}/24 dev site0"))?;
        probed.until(|outcome| *outcome == Outcome::Lost).await?;
        Ok(())
    })
}

#[test]
fn without_a_path_probes_fail_until_there_is_one() -> Result<()> {
    Lab::new()?.assert_needs_a_path(icmp(BEYOND))
}

#[test]
fn a_prober_outlives_its_interface_being_down() -> Result<()> {
    let lab = Lab::new()?;
    lab.probe(0, icmp(BEYOND), async |probed| {
        probed.until(answered).await?;
        lab.host.ip("link set wan0 down")?;
        probed.until(|outcome| matches!(outcome, Outcome::Failed(_))).await?;
        lab.host.ip("link set wan0 up")?;
        probed.until(answered).await?;
        Ok(())
    })
}

#[test]
fn the_prober_ends_with_its_listener() -> Result<()> {
    let lab = Lab::new()?;
    let interface = lab.cables[0].near().index();
    for kind in [icmp(BEYOND), ProbeKind::Tcp((BEYOND, 80).into())] {
        let probe = Probe { kind, interval: BOUND, timeout: BOUND };
        lab.host.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (_path, path_seen) = watch::channel(Path::default());
                let (sender, mut events) = mpsc::channel(1);
                let listen = async {
                    events.recv().await.context("the prober ended before it probed")?;
                    drop(events);
                    std::future::pending::<Result<()>>().await
                };
                // The next probe is far off.
                tokio::select! {
                    result = Prober::new(interface, probe)?.run(path_seen, sender) => Ok(result?),
                    result = listen => result,
                    () = tokio::time::sleep(BOUND / 2) => bail!("the prober went on"),
                }
            })
        })?;
    }
    Ok(())
}

#[test]
fn a_missing_interface_is_an_error() -> Result<()> {
    let lab = Lab::new()?;
    for kind in [icmp(BEYOND), ProbeKind::Arp, ProbeKind::Tcp((BEYOND, 80).into())] {
        let probe = Probe { kind, interval: BOUND, timeout: BOUND };
        let error = lab.host.run(|| -> io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let _runtime = runtime.enter();
            Prober::new(999, probe).map(drop)
        });
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
    Ok(())
}
