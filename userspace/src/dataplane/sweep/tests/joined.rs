use super::*;

/// The network of the server, and not that of the stranger.
const JOINED: &str = "192.0.2.53/32";

fn remove(tables: &mut Fake) {
    remove_flows_to(tables, &[JOINED.parse().unwrap()], &mut || ()).unwrap();
}

#[test]
fn flows_to_what_is_of_the_lan_now_go_the_outward_entry_first() {
    let [out, back] = pair(UDP, 1, mark(0, 1), mark(0, 1));
    let mut tables = Fake::of_established([back, out]);
    let other = outward(UDP, STRANGER, 1, mark(0, 1));
    tables.established.entries.extend([other]);
    tables.unreplied.entries.extend([outward(TCP, SERVER, 1, mark(0, 1)), other]);
    remove(&mut tables);
    assert_eq!(tables.established.removed, [out.0, back.0]);
    assert_eq!(tables.established.entries, [other].into());
    assert_eq!(tables.unreplied.entries, [other].into());
}

#[test]
fn what_has_no_remote_end_in_ipv4_stays() {
    let [opening, answer] = hairpin(UDP, mark(0, 1), mark(0, 1));
    let mut tables = Fake::of_established([opening, answer]);
    let all = "0.0.0.0/0".parse().unwrap();
    remove_flows_to(&mut tables, &[all], &mut || ()).unwrap();
    assert_eq!(tables.established.entries.len(), 2);
}
