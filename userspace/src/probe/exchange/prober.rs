use std::io;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use nix::net::if_::if_indextoname;
use socket2::Socket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::patience::Patience;
use super::socket::Bound;
use super::{Exchange, Failure, Obstacle};
use crate::netlink::Lookup;
use crate::probe::pace::Pace;
use crate::probe::prober::Listener;
use crate::probe::receive::keep_stamping;
use crate::probe::{Outcome, Path, Probe};

/// Probes by exchanges through one interface.
pub(crate) struct ExchangeProber {
    interface: NonZeroU32,
    name: String,
    exchange: Exchange,
    lookup: Lookup,
    /// Where the exchange is over when a datagram arrives.
    _stamping: Option<Socket>,
}

impl ExchangeProber {
    /// Of this interface of the calling thread's network namespace, for a probe that sockets ask; else
    /// there is none.
    pub(crate) fn new(interface: u32, probe: &Probe) -> io::Result<Option<Self>> {
        let Some(exchange) = Exchange::of(&probe.kind) else {
            return Ok(None);
        };
        let name = if_indextoname(interface)?.to_string_lossy().into_owned();
        // Of an interface that does not exist, this name is empty; none has the index zero.
        let existing = NonZeroU32::new(interface).filter(|_| !name.is_empty());
        let interface = existing.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        let lookup = Lookup::new().map_err(io::Error::other)?;
        let stamps = matches!(exchange, Exchange::Dns(_));
        let stamping = stamps.then(keep_stamping).transpose()?;
        Ok(Some(Self { interface, name, exchange, lookup, _stamping: stamping }))
    }

    /// Probes every interval, over the path of the moment, until nobody listens any more. An exchange
    /// that hangs does not delay the next one.
    pub(crate) async fn run(
        mut self,
        probe: &Probe,
        mut path: watch::Receiver<Path>,
        listener: &Listener,
    ) -> io::Result<()> {
        let mut pace = Pace::new(probe);
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(judged) = under_way.join_next() => {
                    let (judged, is_extra) = judged.map_err(io::Error::other)?;
                    listener.tell(judged, is_extra).await;
                }
                is_extra = pace.due(&mut path) => {
                    let path = *path.borrow();
                    let target = self.exchange.target().ip();
                    let interface = (self.interface, self.name.as_str());
                    match Obstacle::check(&mut self.lookup, interface, &path, target) {
                        Ok(source) => {
                            let bound = Bound { interface: self.interface, source };
                            let (exchange, timeout) = (self.exchange.clone(), probe.timeout);
                            under_way.spawn(async move {
                                // Not before, for the process may be held up in between.
                                let now = Instant::now();
                                let outcome = conduct(&exchange, bound, timeout, now).await;
                                ((now, outcome), is_extra)
                            });
                        }
                        Err(obstacle) => {
                            let failed = Outcome::Failed(obstacle.to_string());
                            listener.tell((Instant::now(), failed), is_extra).await;
                        }
                    }
                }
                () = listener.gone() => return Ok(()),
            }
        }
    }
}

/// Conducts an exchange that starts now, as long as there is time for it.
async fn conduct(exchange: &Exchange, bound: Bound, timeout: Duration, now: Instant) -> Outcome {
    let mut patience = Patience::new(timeout, now);
    let answer = exchange.run(bound, now);
    tokio::pin!(answer);
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut answer => break answer,
            () = sleep_until(patience.deadline().into()) => {
                if patience.is_over(Instant::now()) {
                    return Outcome::Lost;
                }
            }
        }
    };
    match answer {
        Ok(Some(rtt)) if rtt > timeout => Outcome::Lost,
        // Nobody knows how much of the time a process was held up.
        Ok(rtt) => Outcome::Answered { rtt: rtt.unwrap_or_else(|| now.elapsed().min(timeout)) },
        Err(Failure::Wrong(reason)) => Outcome::Wrong(reason),
        Err(Failure::Unsent(reason)) => Outcome::Failed(reason),
    }
}
