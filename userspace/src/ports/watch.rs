use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::PortSet;
use super::procfs::{self, Error};

/// How often the kernel is asked: it does not tell by itself.
const INTERVAL: Duration = Duration::from_secs(2);

/// Follows the ports of the gateway's own sockets, on a thread of its own: tables of many sockets
/// take longer to read than a lost carrier may wait.
pub struct Watch {
    sets: watch::Receiver<PortSet>,
    /// Never sent to: that it is gone ends the thread.
    _stop: mpsc::Sender<()>,
}

impl Watch {
    /// Reads the ports of the calling thread's network namespace, and starts the thread. The first
    /// set is [`Self::latest`] at once.
    ///
    /// # Errors
    /// Where the kernel does not tell, or the system has no thread left.
    pub fn start() -> Result<Self, Error> {
        let (sender, sets) = watch::channel(procfs::read()?);
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new()
            .name("ports".into())
            .spawn(move || run(&sender, &stopped))
            .map_err(Error::Thread)?;
        Ok(Self { sets, _stop: stop })
    }

    /// The set as of the latest reading.
    pub fn latest(&mut self) -> PortSet {
        self.sets.borrow_and_update().clone()
    }

    /// Waits for a set that is another than the last one that was handed out. Dropping the future
    /// before it is done loses nothing.
    pub async fn next(&mut self) -> PortSet {
        if self.sets.changed().await.is_err() {
            // The thread only ends with this value.
            std::future::pending::<()>().await;
        }
        self.latest()
    }
}

fn run(sender: &watch::Sender<PortSet>, stopped: &mpsc::Receiver<()>) {
    let mut complained = false;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
        match procfs::read() {
            Ok(read) => {
                complained = false;
                sender.send_if_modified(|set| {
                    let differs = *set != read;
                    if differs {
                        *set = read;
                    }
                    differs
                });
            }
            Err(error) => complain(&error, &mut complained),
        }
    }
}

/// Says what is wrong once, until it is right again.
fn complain(error: &Error, complained: &mut bool) {
    if !*complained {
        log::error!("the ports that are not handed out stay as they are: {error}");
        *complained = true;
    }
}
