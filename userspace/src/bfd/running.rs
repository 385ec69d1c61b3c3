use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asynchronous::Asynchronous;
use super::echo::Echo;
use super::service::{Event, Wanted};
use super::{Settings, Way};
use crate::dataplane::Liveness;

/// How many packets of a session are taken in before others have their turn: as many as it may miss, and more.
pub(super) const BURST: usize = 64;

/// A session with its sockets. There is something to do when its descriptor is readable.
pub(super) trait Running: AsFd + Send {
    /// Goes over to these settings and this way, which differ in nothing that makes it another session.
    fn adapt(&mut self, way: &Way, settings: &Settings);

    /// Holds it down, or lets it come up. Where there is no other system to be told, there is nothing to hold.
    fn hold(&mut self, _is_held: bool) {}

    /// When there is something to do, if no packet comes before.
    fn deadline(&self) -> Option<Instant>;

    /// Does what is due, and tells what has become of the session. A packet counts from when it arrived, however
    /// long it has waited: this system may have been held up.
    fn work(&mut self, tell: &mut dyn FnMut(Event));
}

/// The times of a session that were told last: between packets, and of detection.
#[derive(Default)]
pub(super) struct Times(Option<(Duration, Duration)>);

impl Times {
    /// Tells them if they are others, and the session is up, which others are told by.
    pub(super) fn tell(
        &mut self,
        times: Option<(Duration, Duration)>,
        tell: &mut dyn FnMut(Event),
    ) {
        if std::mem::replace(&mut self.0, times) != times
            && let Some((transmit, detection)) = times
        {
            tell(Event::Agreed { transmit, detection });
        }
    }
}

/// Opens a session, in the calling thread's network namespace.
///
/// # Errors
/// Where its sockets cannot be opened.
pub(super) fn open(wanted: &Wanted, liveness: &Arc<Liveness>) -> io::Result<Box<dyn Running>> {
    let Wanted { uplink, way, settings, is_held } = wanted;
    let mut running: Box<dyn Running> = match way {
        Way::Peer(path) => Box::new(Asynchronous::open(*uplink, path, settings, liveness)?),
        Way::Echo(way) => Box::new(Echo::open(*uplink, way, settings, liveness)?),
    };
    running.hold(*is_held);
    Ok(running)
}
