use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::drains::{Drain, DrainFile};

/// How soon what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Why what is drained would not be so after a restart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what is drained will not be so after a restart, for {} cannot be written: {reason}; give the daemon room \
     and permission there, or set [state] directory to another path",
    path.display()
)]
pub struct NotKept {
    /// The file.
    path: PathBuf,
    /// What the system says.
    reason: String,
}

enum Order {
    Keep(Vec<Drain>),
    Ask(oneshot::Sender<Result<(), NotKept>>),
}

/// Writes the file, on a thread of its own, until it is dropped.
pub struct Keeper {
    orders: mpsc::Sender<Order>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn start(file: DrainFile) -> io::Result<Self> {
        let (orders, receiver) = mpsc::channel();
        let writer = Writer { file, pending: None, failure: None };
        thread::Builder::new().name("state".into()).spawn(move || writer.run(&receiver))?;
        Ok(Self { orders })
    }

    /// Has this be what the file says.
    pub fn keep(&self, drains: Vec<Drain>) {
        // The thread ends after this only.
        drop(self.orders.send(Order::Keep(drains)));
    }

    /// Tells whether what was to be kept by now is, once that is known.
    pub fn ask(&self) -> oneshot::Receiver<Result<(), NotKept>> {
        let (reply, answer) = oneshot::channel();
        drop(self.orders.send(Order::Ask(reply)));
        answer
    }
}

struct Writer {
    file: DrainFile,
    /// What is still to be written.
    pending: Option<(Vec<Drain>, SystemTime)>,
    failure: Option<NotKept>,
}

impl Writer {
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        loop {
            let order = match &self.pending {
                Some(_) => orders.recv_timeout(RETRY),
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Keep(drains)) => {
                    self.pending = Some((drains, SystemTime::now()));
                    self.write();
                }
                // Who asked may have gone.
                Ok(Order::Ask(reply)) => drop(reply.send(self.failure.clone().map_or(Ok(()), Err))),
                Err(RecvTimeoutError::Timeout) => self.write(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self) {
        let Some((drains, since)) = &self.pending else { return };
        match self.file.write(drains, *since) {
            Ok(()) => {
                if self.failure.take().is_some() {
                    log::info!("{}: written", self.file.path().display());
                }
                self.pending = None;
            }
            Err(error) => {
                let failure = NotKept { path: self.file.path(), reason: error.to_string() };
                if self.failure.as_ref() != Some(&failure) {
                    log::error!("{failure}");
                }
                self.failure = Some(failure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_cannot_be_kept_is_said_until_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let blocked = directory.path().join("state");
        fs::write(&blocked, "in the way").unwrap();
        let file = DrainFile::new(&blocked);
        let keeper = Keeper::start(file.clone()).unwrap();
        assert_eq!(keeper.ask().blocking_recv().unwrap(), Ok(()));
        let drains = vec![Drain { uplink: "fiber".into(), left: None }];
        keeper.keep(drains.clone());
        let failure = keeper.ask().blocking_recv().unwrap().unwrap_err().to_string();
        assert!(failure.contains("state/drains.json cannot be written: File exists"), "{failure}");
        assert_eq!(fs::read_to_string(&blocked).unwrap(), "in the way");
        fs::remove_file(&blocked).unwrap();
        keeper.keep(drains.clone());
        assert_eq!(keeper.ask().blocking_recv().unwrap(), Ok(()));
        assert_eq!(file.read(SystemTime::now()).unwrap(), drains);
    }
}
