//! Draining of uplinks, as an operator asks for it.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::{Daemon, StartError};
use crate::api::drain::{DrainAnswer, DrainStatus};
use crate::control::{Change, Controller, DrainError, Drains};
use crate::state::{Drain, DrainFile, Keeper};

/// That an uplink is to be drained, or not any more.
#[derive(Debug)]
pub struct DrainOrder {
    /// The uplink's name.
    pub uplink: String,
    /// What is to be done.
    pub action: DrainAction,
    /// Who is to be told what holds then, and whether it will after a restart.
    pub reply: oneshot::Sender<Result<DrainAnswer, DrainError>>,
}

/// What is to be done with an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainAction {
    /// It is to take no new flows.
    Drain {
        /// For how long; without, until it is undrained.
        time: Option<Duration>,
        /// Even if something has no way then.
        is_forced: bool,
    },
    /// It is to take them again.
    Undrain,
}

/// The drains that hold after a restart.
pub(super) struct Kept {
    keeper: Keeper,
    drains: Drains,
}

impl Kept {
    /// Takes up what was drained before.
    pub(super) fn start(controller: &mut Controller) -> Result<Self, StartError> {
        let file = DrainFile::new(&controller.config().state.directory);
        let known = file.read(SystemTime::now()).unwrap_or_else(|error| {
            log::error!("{error}");
            Vec::new()
        });
        let now = Instant::now();
        let drains: Drains = { known.into_iter() }
            .map(|drain| (drain.uplink, drain.left.and_then(|left| now.checked_add(left))))
            .collect();
        controller.restore_drains(drains.clone(), now);
        for (name, until) in controller.drains() {
            log::info!("uplink {name}: drained{}", how_long(*until, now));
        }
        let keeper = Keeper::start(file).map_err(StartError::Thread)?;
        Ok(Self { keeper, drains })
    }
}

impl Daemon {
    /// Keeps which uplinks are drained, if that has changed, and says so.
    pub(super) fn keep_drains(&mut self) {
        let drains = self.controller.drains();
        if *drains == self.kept.drains {
            return;
        }
        let now = Instant::now();
        for (name, until) in
            drains.iter().filter(|(name, it)| self.kept.drains.get(*name) != Some(it))
        {
            log::info!("uplink {name}: drained{}", how_long(*until, now));
        }
        for name in self.kept.drains.keys().filter(|name| !drains.contains_key(*name)) {
            log::info!("uplink {name}: not drained any more");
        }
        let left = |until: &Option<Instant>| until.map(|it| it.saturating_duration_since(now));
        let kept =
            drains.iter().map(|(name, until)| Drain { uplink: name.clone(), left: left(until) });
        self.kept.keeper.keep(kept.collect());
        self.kept.drains = drains.clone();
    }

    /// Does what is asked, and has who asked be told once it is known whether that is kept.
    pub(super) fn drain(&mut self, order: DrainOrder) {
        let DrainOrder { uplink, action, reply } = order;
        let now = Instant::now();
        let done = match action {
            DrainAction::Drain { time, is_forced } => {
                self.controller.drain(&uplink, time, is_forced, now)
            }
            DrainAction::Undrain => self.controller.undrain(&uplink, now),
        };
        match done {
            Ok(changes) => self.answer(uplink, &changes, reply),
            // Who asked may have gone.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn answer(
        &mut self,
        uplink: String,
        changes: &[Change],
        reply: oneshot::Sender<Result<DrainAnswer, DrainError>>,
    ) {
        self.apply(changes);
        let known = self.controller.uplinks().iter().find(|known| known.config().name == uplink);
        let id = known.map_or(0, |known| known.id());
        let drained = DrainStatus::of(&self.controller, &uplink, Instant::now());
        let flows = self.sweeper.census().flows_on(id);
        let passes = self.sweeper.passes();
        let kept = self.kept.keeper.ask();
        tokio::spawn(async move {
            // The disk may take its time.
            let failure = kept.await.ok().and_then(Result::err);
            let warning = failure.map(|failure| failure.to_string());
            drop(reply.send(Ok(DrainAnswer { uplink, drained, flows, passes, warning })));
        });
    }
}

/// That new flows have no other way, where it is so.
pub(super) fn complaint(controller: &Controller) -> Option<String> {
    let names: Vec<_> =
        controller.drained_in_use().map(|uplink| format!("{:?}", uplink.config().name)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "new flows take the drained {}, for no other uplink is up; repair or undrain one",
            names.join(", ")
        )
    })
}

fn how_long(until: Option<Instant>, now: Instant) -> String {
    until.map_or_else(String::new, |until| {
        let left = until.saturating_duration_since(now).as_secs_f64().round() as u64;
        format!(" for {}", humantime::format_duration(Duration::from_secs(left)))
    })
}
