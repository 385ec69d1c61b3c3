use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::capability;
use crate::api::Server;
use crate::config::{self, Config};
use crate::control::{Command, Commands, Daemon};

/// Commands that may wait.
const BACKLOG: usize = 16;

/// Is the gateway until a signal says otherwise.
pub(super) fn run(file: PathBuf) -> anyhow::Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format_target(false)
        .format_timestamp_millis()
        .init();
    let (config, warnings) = config::load(&file)?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    capability::require()?;
    // One thread: sockets belong to the network namespace of the thread that opens them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(config, file))
}

async fn serve(config: Config, file: PathBuf) -> anyhow::Result<()> {
    // From here on a signal ends the daemon in order.
    let signals = Signals::new().context("cannot receive signals")?;
    let server = Server::bind(&config.api.socket)?;
    let (commands, receiver) = mpsc::channel(BACKLOG);
    let daemon = Daemon::start(config, file, receiver).await?;
    log::info!("ready");
    tokio::select! {
        ended = daemon.run() => ended?,
        ended = server.serve(commands.clone()) => ended.context("the API has stopped")?,
        () = signals.relay(commands) => {}
    }
    Ok(())
}

/// The signals that the daemon follows.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Sends the command that a signal stands for. The daemon ends by such a command, so this
    /// only ends where the daemon has.
    async fn relay(mut self, commands: Commands) {
        loop {
            let command = tokio::select! {
                _ = self.hangup.recv() => Command::Reload,
                _ = self.interrupt.recv() => Command::Down,
                _ = self.terminate.recv() => Command::Stop,
            };
            if commands.send(command).await.is_err() {
                return;
            }
        }
    }
}
