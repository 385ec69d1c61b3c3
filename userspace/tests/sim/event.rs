//! What can happen to a gateway, and at random what does.

use pointsman_ebpf::memory::Random;

use super::world::LAN;

/// Something that happens. Interfaces are by number, [`LAN`] among them; uplinks and their probes by their
/// place in the configuration, modulo how many there are. What is not there, nothing happens to: so any event can
/// be left out of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An interface gains or loses carrier.
    Carrier { interface: u8, is_there: bool },
    /// An interface is set up or down.
    Admin { interface: u8, is_up: bool },
    /// An interface is taken away, with all that hangs on it.
    Remove { interface: u8 },
    /// An interface has all that it needs again; one that was away comes back with another index.
    Heal { interface: u8 },
    /// An interface is called something else, or by its own name again.
    Rename { interface: u8, is_own: bool },
    /// An interface has another MAC.
    Mac { interface: u8, last: u8 },
    /// An interface takes packets of another size.
    Mtu { interface: u8, bytes: u16 },
    /// An interface gets an address.
    AddAddress { interface: u8, number: u8 },
    /// An interface loses an address.
    DropAddress { interface: u8, number: u8 },
    /// The default route of an interface leads to another next hop, or is gone.
    Route { interface: u8, gateway: Option<u8> },
    /// What the kernel knows of a next hop changes.
    Neighbour { interface: u8, gateway: u8, known: Known },
    /// The kernel throws away all that it had to tell until the next [`Event::Resync`].
    Overrun,
    /// The kernel tells all that it knows.
    Resync,
    /// So many times one after the other, a probe is answered, or lost.
    Probe { uplink: u8, probe: u8, is_answered: bool, times: u8 },
    /// A BFD session changes.
    Session { uplink: u8, to: Session },
    /// So many times one after the other, it is looked at what an uplink has carried.
    Traffic { uplink: u8, sent: u8, received: u8, times: u8 },
    /// Time passes.
    Wait { milliseconds: u32 },
    /// Time passes until the controller's deadline.
    Deadline,
    /// Time passes until just before that, and what is due then must not have happened.
    BeforeDeadline,
    /// The data plane refuses something from now on.
    Refuse(Refusal),
    /// The data plane refuses nothing any more.
    Relent,
    /// What has failed is tried again, as the daemon does every second.
    Retry,
    /// The operator wants something.
    Operator(Operator),
}

/// What the kernel knows of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// A MAC, lately confirmed.
    Reachable { last: u8 },
    /// The MAC that it has, not confirmed of late.
    Stale { last: u8 },
    /// It is asking.
    Incomplete,
    /// Nobody has answered.
    Failed,
    /// Nothing any more.
    Gone,
}

/// How a BFD session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    Started,
    Up,
    Down,
    HeldDown,
    Failed,
    Ended,
    /// The other system falls silent, which the data plane alone has noticed yet.
    Silent,
}

/// What the data plane refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Every so many-th write of a map.
    Writes { one_of: u8 },
    /// To be attached to an interface.
    Attach { interface: u8 },
}

/// What an operator does to a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Has it read the configuration with this number, modulo how many there are. The uplinks are called as
    /// there, unless names are not 0: then, by others.
    Reload { configuration: u8, names: u8 },
    /// Stops it, and starts another one.
    Restart,
}

/// So many events.
pub(crate) fn draw_all(random: &mut Random, count: usize) -> Vec<Event> {
    (0..count).map(|_| draw(random)).collect()
}

fn draw(random: &mut Random) -> Event {
    let interface = random.below(usize::from(LAN)) as u8;
    match random.below(100) {
        0..22 => probe(random),
        22..30 => Event::Carrier { interface, is_there: random.below(3) > 0 },
        30..41 => Event::Heal { interface },
        41..48 => wait(random),
        48..52 => Event::Deadline,
        52..54 => Event::BeforeDeadline,
        54..60 => neighbour(random, interface),
        60..66 => Event::Session { uplink: interface, to: session(random) },
        66..71 => Event::Operator(operator(random)),
        71..75 => traffic(random),
        75..78 => Event::AddAddress { interface, number: random.below(3) as u8 },
        78..82 => Event::DropAddress { interface, number: random.below(3) as u8 },
        82..85 => Event::Route { interface, gateway: [None, Some(0), Some(1)][random.below(3)] },
        85 => Event::Admin { interface, is_up: random.below(2) == 0 },
        86 => Event::Remove { interface: if random.below(4) == 0 { LAN } else { interface } },
        87 => Event::Rename { interface, is_own: random.below(2) == 0 },
        88 => Event::Mac { interface, last: random.below(3) as u8 },
        89 => Event::Mtu { interface, bytes: [1500, 1492, 1280][random.below(3)] },
        90 => Event::Overrun,
        91..93 => Event::Resync,
        93..95 => Event::Refuse(refusal(random)),
        95..97 => Event::Relent,
        97 => Event::Heal { interface: LAN },
        _ => Event::Retry,
    }
}

fn probe(random: &mut Random) -> Event {
    Event::Probe {
        uplink: random.below(5) as u8,
        probe: random.below(3) as u8,
        is_answered: random.below(5) > 1,
        times: 1 + random.below(4) as u8,
    }
}

fn wait(random: &mut Random) -> Event {
    let most = [20, 500, 5_000, 60_000][random.below(4)];
    Event::Wait { milliseconds: random.below(most) as u32 }
}

fn neighbour(random: &mut Random, interface: u8) -> Event {
    let last = random.below(2) as u8;
    let known = match random.below(7) {
        0..3 => Known::Reachable { last },
        3 => Known::Stale { last },
        4 => Known::Incomplete,
        5 => Known::Failed,
        _ => Known::Gone,
    };
    Event::Neighbour { interface, gateway: random.below(2) as u8, known }
}

fn session(random: &mut Random) -> Session {
    match random.below(10) {
        0 => Session::Started,
        1..6 => Session::Up,
        6 => Session::Down,
        7 => Session::Silent,
        8 => Session::HeldDown,
        _ => [Session::Failed, Session::Ended][random.below(2)],
    }
}

fn traffic(random: &mut Random) -> Event {
    Event::Traffic {
        uplink: random.below(5) as u8,
        sent: random.below(6) as u8,
        received: (random.below(3) / 2) as u8,
        times: 1 + random.below(9) as u8,
    }
}

fn refusal(random: &mut Random) -> Refusal {
    if random.below(3) == 0 {
        Refusal::Attach { interface: random.below(usize::from(LAN) + 1) as u8 }
    } else {
        Refusal::Writes { one_of: 1 + random.below(5) as u8 }
    }
}

fn operator(random: &mut Random) -> Operator {
    if random.below(4) == 0 {
        Operator::Restart
    } else {
        let names = if random.below(4) == 0 { random.below(256) as u8 } else { 0 };
        Operator::Reload { configuration: random.below(3) as u8, names }
    }
}
