//! What goes wrong on a real site, with real traffic through the gateway all the while: TCP of which every
//! byte is checked, UDP of which every datagram is accounted for, and a thousand flows of it. In each
//! test, all packets that came in are found again, to the last one.

#[path = "../support/reload.rs"]
mod reload;
#[path = "../support/mod.rs"]
mod support;

mod arrivals;
mod echo;
mod flows;
mod ledger;
mod rig;
mod transfer;

mod blackhole;
mod changes;
mod cut;
mod flapping;
mod full;
mod loss;
mod overrun;
mod reloads;
mod restart;
mod stall;
