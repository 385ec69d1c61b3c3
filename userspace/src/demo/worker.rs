//! A thread that works until it is told to stop.

use std::{
    io, panic,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// A flag that asks to stop, seen by all who hold it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks to stop.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether someone asked to stop.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A running thread. It is stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Worker<T> {
    stop: Stop,
    thread: Option<JoinHandle<io::Result<T>>>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts `work`, which returns soon after the flag is set.
    pub(super) fn start(
        name: &str,
        work: impl FnOnce(&Stop) -> io::Result<T> + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Stop::default();
        let flag = stop.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&flag))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops the thread and returns what it worked out. A panic of the thread goes on here.
    pub(super) fn finish(mut self) -> io::Result<T> {
        self.stop.set();
        let thread = self.thread.take().expect("only this takes the thread");
        thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            // What it worked out, or why it could not, matters to nobody any more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_until_it_is_told_to_stop() {
        let worker = Worker::start("worker", |stop| {
            while !stop.is_set() {
                thread::yield_now();
            }
            Ok(42)
        });
        assert_eq!(worker.unwrap().finish().unwrap(), 42);
    }

    #[test]
    fn dropping_it_stops_it() {
        let ended = Stop::default();
        let flag = ended.clone();
        let work = move |stop: &Stop| {
            while !stop.is_set() {
                thread::yield_now();
            }
            flag.set();
            Ok(())
        };
        drop(Worker::start("worker", work).unwrap());
        assert!(ended.is_set());
    }

    #[test]
    #[should_panic(expected = "told you so")]
    fn a_panic_goes_on_where_the_result_is_wanted() {
        let worker = Worker::<()>::start("worker", |_| panic!("told you so"));
        let _ = worker.unwrap().finish();
    }
}
