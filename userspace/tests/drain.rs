//! Uplinks that an operator drains, in the gateway of a laboratory site.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::thread;

use pointsman::api::status::UplinkStatus;
use pointsman_lab::plan::{SERVER, gateway as own_address};
use pointsman_lab::{Namespace, Site};
use socket2::{Domain, Socket, Type};

use support::{BOUND, Daemon, Gateway, pointsman};

/// Connections that are closed are not to be waited for long.
const QUICK: &str = "[timers]\ntcp_transitory = \"2s\"\n\
                     [[group]]\nname = \"default\"\nuplinks = [[\"fiber\", \"cable\"]]\nsticky = \"flow\"\n";
const PORT: u16 = 80;

impl Gateway {
    fn drain(&self, arguments: &[&str]) -> Output {
        let socket = self.directory.path().join("api.sock");
        let arguments = [arguments, &["--socket"]].concat();
        pointsman(&self.site.gateway, &arguments, &[&socket])
    }

    /// What a command says that succeeds.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.drain(arguments);
        assert!(output.status.success(), "{output:?}\n{}", self.daemon.log());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What one says that is refused.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.drain(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn fiber(&self) -> UplinkStatus {
        self.status().uplinks.remove(0)
    }

    /// By which of the gateway's addresses connections from each of the client's addresses arrive.
    fn ways(&self) -> Vec<IpAddr> {
        let client = &self.site.client;
        self.site.client_addresses().map(|from| connect(client, from).1).collect()
    }
}

/// A server that says to each connection where it comes from, and then sends back what it gets.
fn serve(server: &Namespace) {
    let listener = server.run(|| TcpListener::bind((SERVER, PORT))).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let IpAddr::V4(from) = stream.peer_addr().unwrap().ip() else { panic!("not IPv4") };
            thread::spawn(move || {
                stream.write_all(&from.octets()).unwrap();
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    stream.write_all(&buffer[..length]).unwrap();
                }
            });
        }
    });
}

/// A connection from this address of the client's, and the address that the server sees.
fn connect(client: &Namespace, from: Ipv4Addr) -> (TcpStream, IpAddr) {
    client.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&SocketAddr::from((SERVER, PORT)).into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let mut seen = [0; 4];
        stream.read_exact(&mut seen).unwrap();
        (stream, Ipv4Addr::from(seen).into())
    })
}

fn exchange(stream: &mut TcpStream) {
    let sent = [7; 1000];
    stream.write_all(&sent).unwrap();
    let mut back = [0; 1000];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, sent);
}

fn start(more: &str) -> Gateway {
    let site = Site::builder().client_addresses(16).build().unwrap();
    let gateway = Gateway::configured(site, |directory| support::configuration(directory) + more);
    serve(&gateway.site.server);
    gateway
}

#[test]
fn flows_of_a_drained_uplink_finish_and_new_ones_go_elsewhere() {
    let mut gateway = start(QUICK);
    let (by_fiber, by_cable) = (IpAddr::from(own_address(0)), IpAddr::from(own_address(1)));
    let found = gateway.site.client_addresses().find_map(|from| {
        let (stream, seen) = connect(&gateway.site.client, from);
        (seen == by_fiber).then_some(stream)
    });
    let mut stream = found.expect("fiber has three quarters of the flows");
    let said = gateway.done(&["drain", "fiber"]);
    assert!(said.starts_with("fiber is drained; "), "{said}");
    assert!(gateway.ways().iter().all(|way| *way == by_cable), "{:?}", gateway.ways());
    gateway.wait_for("one flow is left", |status| status.uplinks[0].flows == 1);
    exchange(&mut stream);
    let fiber = gateway.fiber();
    assert_eq!((&*fiber.state, fiber.flows), ("up", 1));
    assert_eq!(
        fiber.drained.map(|drained| (drained.until, drained.takes_new_flows)),
        Some((None, false))
    );
    let table = gateway.done(&["status"]);
    assert!(table.contains("drained") && table.contains("1 flow left"), "{table}");
    exchange(&mut stream);
    drop(stream);
    let said = gateway.done(&["drain", "fiber", "--wait"]);
    assert!(said.ends_with("no flow is left on fiber\n"), "{said}");
    assert_eq!(gateway.fiber().flows, 0);

    // A restart of the daemon.
    let file = gateway.directory.path().join("pointsman.toml");
    gateway.daemon.process.kill().unwrap();
    gateway.daemon.process.wait().unwrap();
    gateway.daemon = Daemon::start(&gateway.site.gateway, &file);
    gateway.wait_for("all are up again", |status| {
        status.uplinks.iter().all(|uplink| uplink.state == "up")
    });
    assert!(gateway.fiber().drained.is_some(), "{}", gateway.daemon.log());
    assert!(gateway.ways().iter().all(|way| *way == by_cable));
    let said = gateway.done(&["undrain", "fiber"]);
    assert!(said.starts_with("fiber is not drained; "), "{said}");
    assert!(gateway.ways().contains(&by_fiber));

    // For a time.
    let said = gateway.done(&["drain", "fiber", "--for", "2s"]);
    assert!(said.starts_with("fiber is drained until 20"), "{said}");
    gateway.wait_for("the time is over", |status| status.uplinks[0].drained.is_none());
    assert!(gateway.ways().contains(&by_fiber));
    let log = gateway.daemon.log();
    assert!(log.contains("uplink fiber: not drained any more"), "{log}");
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let gateway = start("");
    let drained = |name: &str| {
        gateway.status().uplinks.into_iter().any(|it| it.name == name && it.drained.is_some())
    };
    for action in ["drain", "undrain"] {
        assert_eq!(
            gateway.refused(&[action, "fibre"]),
            "pointsman: no uplink is called \"fibre\"; did you mean \"fiber\"?\n"
        );
        let said = gateway.refused(&[action, "../status?a/b\u{1b}"]);
        assert!(said.contains("no uplink is called \"../status?a/b\\u{1b}\""), "{said}");
    }
    for time in ["0s", "soon", "500ms"] {
        let output = gateway.drain(&["drain", "fiber", "--for", time]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    assert!(!drained("fiber"));
    gateway.done(&["drain", "fiber"]);
    let said = gateway.refused(&["drain", "cable"]);
    assert!(said.contains("no other uplink that is up and not drained carries IPv4"), "{said}");
    assert!(drained("fiber") && !drained("cable"));
    let said = gateway.done(&["drain", "cable", "--force"]);
    assert!(said.contains("takes new flows all the same, for no other uplink is up"), "{said}");
    assert!(gateway.ways().contains(&IpAddr::from(own_address(0))));
    let log = gateway.daemon.log();
    assert!(log.contains("new flows take the drained \"fiber\", \"cable\""), "{log}");
}

/// Where the state cannot be kept, a drain holds all the same.
#[test]
fn what_will_not_survive_is_said() {
    let site = Site::builder().build().unwrap();
    let gateway = Gateway::configured(site, |directory| {
        fs::write(directory.join("state"), "in the way").unwrap();
        support::configuration(directory)
    });
    let output = gateway.drain(&["drain", "fiber"]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("fiber is drained; "),
        "{output:?}"
    );
    let (said, log) = (String::from_utf8_lossy(&output.stderr).into_owned(), gateway.daemon.log());
    let expected = "what is drained will not be so after a restart, for ";
    assert!(said.contains(expected) && said.contains("state/drains.json"), "{said}");
    assert!(log.contains(expected), "{log}");
    assert!(gateway.fiber().drained.is_some());
}

#[test]
fn a_damaged_file_does_not_keep_the_daemon_from_starting() {
    let site = Site::builder().build().unwrap();
    let state = |directory: &Path| directory.join("state/drains.json");
    let gateway = Gateway::configured(site, |directory| {
        fs::create_dir(directory.join("state")).unwrap();
        fs::write(state(directory), "{\"version\": 1, \"dra").unwrap();
        support::configuration(directory)
    });
    let (log, file) = (gateway.daemon.log(), state(gateway.directory.path()));
    assert!(
        log.contains("drains.json is damaged, so no uplink is drained that was before"),
        "{log}"
    );
    assert!(!file.exists() && file.with_extension("json.corrupt").exists());
    gateway.done(&["drain", "fiber"]);
    assert!(file.exists());
}
