//! Reading the file again, under load and with what cannot be.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use pointsman::api::status::{Status, Traffic};
use pointsman::api::{fetch_diff, fetch_status};
use pointsman_lab::plan::SERVER;
use pointsman_lab::{Namespace, Site, wait_until};

use crate::stream::Load;
use crate::support::{BOUND, Gateway, configuration, pointsman, single_configuration};

const RELOADS: u64 = 100;

impl Gateway {
    /// Without starting a process for each question.
    pub(crate) fn ask(&self) -> Status {
        block_on(fetch_status(&self.directory.path().join("api.sock"))).unwrap()
    }

    /// Has the daemon read this, and waits until it has.
    fn reload_and_wait(&self, configuration: &str, count: u64) -> Status {
        self.reload(configuration);
        let mut status = self.ask();
        let waited = wait_until("the file has been read again", BOUND, || {
            status = self.ask();
            Ok(status.reloads >= count)
        });
        waited.unwrap();
        status
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// The identifiers of the program of an interface, and of all links that attach it anywhere.
fn attached(host: &Namespace, interface: &str) -> (u32, BTreeSet<u32>) {
    let link = host.output("ip", &["-j", "link", "show", interface]).unwrap();
    let link: serde_json::Value = serde_json::from_str(&link).unwrap();
    let program = link[0]["xdp"]["prog"]["id"].as_u64().unwrap() as u32;
    let links = aya::programs::loaded_links().filter_map(Result::ok);
    let links = links.filter(|link| link.program_id() == program).map(|link| link.id());
    (program, links.collect())
}

pub(crate) fn packets<'t>(counters: impl IntoIterator<Item = &'t Traffic>) -> u64 {
    counters.into_iter().map(|traffic| traffic.packets).sum()
}

/// The other configuration has everything else that it can have beside the uplink of the load.
fn other(directory: &Path) -> String {
    let more = "[[group]]\n\
                name = \"default\"\n\
                sticky = \"flow\"\n\
                last_resort = \"unreachable\"\n\
                [nat]\n\
                reserved_ports = [\"5060/udp\"]\n\
                filtering = \"address-and-port\"\n\
                mappings_per_host = 8000\n\
                [timers]\n\
                udp = \"3m\"\n\
                [[forward]]\n\
                protocol = \"tcp\"\n\
                port = 443\n\
                to = \"10.1.0.10\"\n";
    single_configuration(directory, more).replace("weight = 3", "weight = 7")
}

#[test]
fn a_hundred_reloads_under_load_lose_nothing() {
    let site = Site::builder().build().unwrap();
    let gateway = Gateway::configured(site, other);
    let configurations = [configuration, other].map(|of| of(gateway.directory.path()));
    let host = &gateway.site.gateway;
    let before = ["lan0", "wan0"].map(|interface| attached(host, interface));
    let from = gateway.site.client_addresses().next().unwrap();
    let load = Load::start(&gateway.site, from);
    for count in 1..=RELOADS {
        let wanted = &configurations[(count + 1) as usize % 2];
        let status = gateway.reload_and_wait(wanted, count);
        assert_eq!(status.last_reload_error, None);
        assert_eq!(status.uplinks.len(), 1 + (count % 2) as usize, "{status:#?}");
        assert_eq!(status.uplinks[0].state, "up", "{status:#?}");
    }
    let outcome = load.end();
    println!("{RELOADS} reloads, {} datagrams, {} bytes", outcome.sent, outcome.written);
    assert!(outcome.back.iter().copied().eq(0..outcome.sent), "of {}", outcome.sent);
    assert_eq!(outcome.read, outcome.written);
    let ours = Ipv4Addr::new(203, 0, 113, 2);
    assert_eq!(outcome.senders.len(), 1, "one flow: {:?}", outcome.senders);
    assert!(outcome.senders.iter().all(|sender| sender.ip() == ours), "{:?}", outcome.senders);
    let status = gateway.ask();
    assert_eq!(packets(status.drops.values()), 0, "{status:#?}");
    assert_eq!(packets(status.answered.values()), 0, "{status:#?}");
    let after = ["lan0", "wan0"].map(|interface| attached(host, interface));
    for ((program, links), (program_after, links_after)) in before.iter().zip(&after) {
        assert_eq!(program, program_after);
        assert_eq!(links.len(), 2, "one for each interface");
        assert!(links.is_subset(links_after), "{links:?} before, {links_after:?} after");
    }
}

#[test]
fn check_says_what_a_reload_would_change_and_whether_it_would_be_refused() {
    let gateway = Gateway::configured(Site::builder().build().unwrap(), configuration);
    let file = gateway.directory.path().join("other.toml");
    let good = configuration(gateway.directory.path());
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let host = &gateway.site.gateway;
        let output = pointsman(host, &["check", "--diff", "--config"], &[&file]);
        let text = String::from_utf8(output.stdout).unwrap();
        let said = text.lines().rev().take(2).map(str::to_owned).collect::<Vec<_>>();
        (output.status.code().unwrap(), said, String::from_utf8(output.stderr).unwrap())
    };
    let held = gateway.directory.path().join("pointsman.toml");
    let held = held.display();
    let (code, said, _) = check(&good);
    assert_eq!(
        (code, &*said[0]),
        (0, &*format!("no difference to what the daemon has read from {held}"))
    );
    let (code, said, _) = check(&good.replace("weight = 3", "weight = 7"));
    let weight = "uplink \"fiber\": weight: 3 -> 7; flows stay, new ones are shared out anew";
    let expected = [format!("1 difference to what the daemon has read from {held}"), weight.into()];
    assert_eq!((code, &*said), (0, &expected[..]));
    let missing = good.replace("wan1", "wan7");
    let (code, said, _) = check(&missing);
    let refusal =
        "uplink \"cable\" is to use the interface wan7, which does not exist; see `ip link`";
    assert_eq!((code, &*said[0]), (2, &*format!("a reload would be refused: {refusal}")));
    let status = gateway.reload_and_wait(&missing, 1);
    assert_eq!(status.last_reload_error.as_deref(), Some(refusal));
    assert_eq!(status.uplinks[1].interface, "wan1");
    gateway.ping();

    let elsewhere = good.replace("api.sock", "other.sock");
    let (code, _, said) = check(&elsewhere);
    assert_eq!(code, 1);
    assert!(said.contains("no daemon answers on"), "{said}");
    let socket = gateway.directory.path().join("api.sock");
    let answer = block_on(fetch_diff(&socket, elsewhere)).unwrap();
    assert_eq!(answer.differences.len(), 1);
    let error = block_on(fetch_diff(&socket, "lan = 1".to_owned())).unwrap_err().to_string();
    assert!(error.contains("lan is a number"), "{error}");
}

impl Gateway {
    fn ping(&self) {
        let to = SERVER.to_string();
        self.site.client.output("ping", &["-n", "-q", "-c", "1", "-W", "5", &to]).unwrap();
    }
}

/// An interface that another program has is found when the new policy is installed.
#[test]
fn a_reload_that_fails_half_way_leaves_the_old_state_whole() {
    use pointsman_lab::{Cable, CableOptions, Pass};

    let gateway = Gateway::configured(Site::builder().build().unwrap(), configuration);
    let host = &gateway.site.gateway;
    let far = Namespace::new("far").unwrap();
    let options = CableOptions { pass: Pass::Both, ..CableOptions::default() };
    let _cable = Cable::new(host, "wan2", &far, "far0", options).unwrap();
    host.ip("address add 192.0.2.130/28 dev wan2").unwrap();
    let before = attached(host, "wan0");
    let from = gateway.site.client_addresses().next().unwrap();
    let load = Load::start(&gateway.site, from);
    let good = configuration(gateway.directory.path());
    let third =
        "[[uplink]]\nname = \"lte\"\ninterface = \"wan2\"\ngateway = \"192.0.2.129\"\n[api]\n";
    let wanted = good.replace("[api]\n", third).replace("weight = 3", "weight = 9");
    let status = gateway.reload_and_wait(&wanted, 1);
    let error = status.last_reload_error.unwrap();
    let start = "it cannot be installed: an XDP program is already attached to wan2";
    assert!(error.starts_with(start), "{error}");
    assert_eq!((status.uplinks.len(), status.uplinks[0].weight), (2, 3));
    assert_eq!(attached(host, "wan0"), before);
    let outcome = load.end();
    assert!(outcome.back.iter().copied().eq(0..outcome.sent), "of {}", outcome.sent);
    assert_eq!(outcome.read, outcome.written);
    assert_eq!(outcome.senders.len(), 1);

    let status = gateway.reload_and_wait(&good.replace("weight = 3", "weight = 9"), 2);
    assert_eq!((status.last_reload_error, status.uplinks[0].weight), (None, 9));
}
