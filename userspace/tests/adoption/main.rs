//! What becomes of the data plane when its daemon ends, and of what a daemon before has left.

#[path = "../support/states.rs"]
mod states;
#[path = "../support/mod.rs"]
mod support;

mod lab;
mod supervisor;

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;
use pointsman::api::status::Status;
use pointsman_ebpf::abi::ABI_VERSION;

use crate::lab::{Pinned, attached};

/// All packets that the uplinks have sent.
fn sent(status: &Status) -> u64 {
    status.uplinks.iter().map(|uplink| uplink.out.packets).sum()
}

#[test]
fn packets_go_on_without_a_daemon_and_the_next_one_goes_on_with_them() {
    let mut site = Pinned::start();
    site.gateway.ping_from_all();
    site.gateway.wait_for("the sweep has counted", |status| status.flows.entries == 128);
    let (before, links) = (site.gateway.status(), site.links());
    assert_eq!(links.len(), 3);
    site.end(Signal::SIGKILL);
    assert_eq!(attached(&site.gateway.site.gateway), ["lan0", "wan0", "wan1"]);
    // Flows go on, and new ones are opened: their echo identifiers are others.
    site.gateway.ping_from_all();
    // A start that fails leaves what is there.
    let directory = site.gateway.directory.path();
    let bad = directory.join("bad.toml");
    let text = fs::read_to_string(directory.join("pointsman.toml")).unwrap();
    for (from, to) in [("wan1", "wan9"), ("weight = 3", "weight = 0")] {
        fs::write(&bad, text.replace(from, to)).unwrap();
        let output = site.run(&["run", "--config"], &bad);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(site.links(), links);
    }
    site.restart();
    let after = site.gateway.status();
    assert_eq!(site.links(), links, "nothing was attached anew");
    for (uplink, old) in after.uplinks.iter().zip(&before.uplinks) {
        assert_eq!((uplink.id, &*uplink.state), (old.id, "up"), "{uplink:#?}");
        assert!(uplink.out.packets > old.out.packets, "{uplink:#?}\n{old:#?}");
    }
    assert_eq!(sent(&after), sent(&before) + 64);
    site.gateway.wait_for("all flows are there", |status| status.flows.entries == 256);
    site.gateway.ping_from_all();
}

#[test]
fn an_uplink_that_was_down_has_to_earn_trust() {
    let mut site = Pinned::start();
    site.gateway.site.uplinks[1].blackhole(true).unwrap();
    site.gateway.wait_for_states("up", "down");
    site.end(Signal::SIGKILL);
    site.restart();
    site.gateway.wait_for("the cable is not believed", |status| {
        status.uplinks[1].state == "down" && status.uplinks[0].state == "up"
    });
    site.gateway.ping_from_all();
    site.gateway.site.uplinks[1].blackhole(false).unwrap();
    site.gateway.wait_for_states("up", "up");
}

#[test]
fn what_the_file_no_longer_has_goes_with_the_next_daemon() {
    let mut site = Pinned::start();
    site.gateway.ping_from_all();
    let fiber = site.gateway.status().uplinks[0].clone();
    site.end(Signal::SIGTERM);
    assert!(site.log().contains("packets go on without the daemon"), "{}", site.log());
    let file = site.gateway.directory.path().join("pointsman.toml");
    let text = fs::read_to_string(&file).unwrap();
    let cable = text.find("[[uplink]]\nname = \"cable\"").unwrap();
    let text = [&text[..cable], &text[text.find("[state]").unwrap()..]].concat();
    fs::write(&file, text).unwrap();
    site.restart();
    assert_eq!(attached(&site.gateway.site.gateway), ["lan0", "wan0"]);
    let after = site.gateway.status().uplinks;
    assert_eq!(after.len(), 1);
    assert_eq!((after[0].id, after[0].address), (fiber.id, fiber.address));
    site.gateway.ping_from_all();
}

#[test]
fn other_tables_take_the_place_of_those_that_are_there() {
    let mut site = Pinned::start();
    site.gateway.ping_from_all();
    site.gateway.wait_for("the sweep has counted", |status| status.flows.entries == 128);
    let (before, links) = (site.gateway.status(), site.links());
    let programs = site.programs();
    site.end(Signal::SIGKILL);
    let file = site.gateway.directory.path().join("pointsman.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "[flows]\nmax = 4096\n").unwrap();
    site.restart();
    assert_eq!(site.links(), links, "nothing was attached anew");
    assert!(site.programs().is_disjoint(&programs));
    site.gateway.wait_for("flows are carried over", |status| {
        status.flows.max == 4096 && status.flows.entries == 128
    });
    assert_eq!(sent(&site.gateway.status()), sent(&before));

    // Of another version, nobody knows what is in them.
    site.end(Signal::SIGKILL);
    site.set_abi(ABI_VERSION - 1);
    site.restart();
    let warning = format!("of another version (ABI {}, and", ABI_VERSION - 1);
    assert!(site.log().contains(&warning), "{}", site.log());
    assert_eq!(site.links(), links, "nothing was attached anew");
    site.gateway.wait_for_states("up", "up");
    site.gateway.ping_from_all();
}

#[test]
fn down_removes_everything_with_a_daemon_and_without() {
    for is_running in [true, false] {
        let mut site = Pinned::start();
        if !is_running {
            site.end(Signal::SIGKILL);
        }
        let file = site.gateway.directory.path().join("pointsman.toml");
        let output = site.run(&["down", "--config"], &file);
        assert!(output.status.success(), "{output:?}\n{}", site.log());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "the data plane is removed\n");
        assert_eq!(attached(&site.gateway.site.gateway), [""; 0]);
        assert!(!site.bpf.pins().exists());
        if is_running {
            assert_eq!(site.wait().code(), Some(0), "{}", site.log());
        }
        let again = site.run(&["down", "--config"], &file);
        assert_eq!(String::from_utf8(again.stdout).unwrap(), "there was nothing\n");
    }
}

#[test]
fn what_cannot_be_kept_ends_with_the_daemon() {
    let mut site = Pinned::with(|bpf| bpf.set_read_only(true).unwrap());
    assert!(site.log().contains("the data plane ends with the daemon"), "{}", site.log());
    site.gateway.ping_from_all();
    site.end(Signal::SIGTERM);
    assert_eq!(attached(&site.gateway.site.gateway), [""; 0]);
}

#[test]
fn one_daemon_at_a_time_has_what_is_kept_and_sigint_ends_both() {
    let mut site = Pinned::start();
    let names = |directory: &str| {
        let entries = fs::read_dir(site.bpf.pins().join(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(names(""), ["links", "maps", "stages"].map(str::to_owned).into());
    assert!(names("maps").contains("_data_uplinks") && names("maps").contains("FLOWS"));
    assert!(names("links").iter().all(|name| name.ends_with("_native")), "{:?}", names("links"));
    assert_eq!(names("links").len(), 3);

    let file = site.gateway.directory.path().join("other.toml");
    let text = fs::read_to_string(site.gateway.directory.path().join("pointsman.toml")).unwrap();
    fs::write(&file, text.replace("api.sock", "other.sock")).unwrap();
    let output = site.run(&["run", "--config"], &file);
    let sentence = format!(
        "pointsman: another daemon has the data plane in {}; stop it, or set [state] pins to another directory\n",
        site.bpf.pins().display()
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), sentence);
    assert_eq!(output.status.code(), Some(1));
    site.gateway.ping_from_all();

    site.end(Signal::SIGINT);
    assert_eq!(attached(&site.gateway.site.gateway), [""; 0]);
    assert!(!site.bpf.pins().exists());
}
