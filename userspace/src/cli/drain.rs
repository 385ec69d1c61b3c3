use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::daemon::{ANSWER_BOUND, Socket, ask};
use super::output::say;
use super::status::flows;
use crate::api::drain::{DrainAnswer, DrainRequest};
use crate::api::status::UplinkStatus;
use crate::api::{fetch_status, post};

/// How often it is looked how many flows are left: as often as they are counted.
const LOOK: Duration = Duration::from_secs(1);

/// How many sweeps it takes until one has begun after the drain.
const SWEEPS: u64 = 2;

/// How long a daemon may take until it answers again.
const RESTART: Duration = Duration::from_secs(60);

/// Which uplink, and for how long.
#[derive(clap::Args)]
pub(super) struct DrainArguments {
    /// The uplink's name.
    uplink: String,
    /// For how long, as in "30m"; without, until it is undrained.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// Also where new flows of something have no other way.
    #[arg(long)]
    force: bool,
    /// Wait until no flow is left on it. The exit code is 1 if it is not drained any more before.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    daemon: Socket,
}

/// Which uplink.
#[derive(clap::Args)]
pub(super) struct UndrainArguments {
    /// The uplink's name.
    uplink: String,
    #[command(flatten)]
    daemon: Socket,
}

/// Drains an uplink.
pub(super) fn drain(arguments: &DrainArguments) -> anyhow::Result<ExitCode> {
    let DrainArguments { uplink, time, force, wait, daemon } = arguments;
    let request = DrainRequest { for_seconds: time.map(|it| it.as_secs()), force: *force };
    let answer =
        ask(daemon.socket(), ANSWER_BOUND, post(daemon.socket(), uplink, "drain", &request))?;
    report(&answer)?;
    if *wait { wait_for_flows(daemon, &answer) } else { Ok(ExitCode::SUCCESS) }
}

/// Has an uplink take new flows again.
pub(super) fn undrain(arguments: &UndrainArguments) -> anyhow::Result<()> {
    let UndrainArguments { uplink, daemon } = arguments;
    let answer = post(daemon.socket(), uplink, "undrain", &());
    report(&ask(daemon.socket(), ANSWER_BOUND, answer)?)
}

/// A time of whole seconds.
fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() || time.subsec_nanos() != 0 {
        return Err("give whole seconds, at least one".into());
    }
    Ok(time)
}

fn report(answer: &DrainAnswer) -> anyhow::Result<()> {
    say(sentence(answer))?;
    if let Some(warning) = &answer.warning {
        eprintln!("pointsman: {warning}");
    }
    Ok(())
}

fn sentence(answer: &DrainAnswer) -> String {
    let DrainAnswer { uplink, drained, flows: left, .. } = answer;
    match drained {
        Some(drained) => format!("{uplink} is {drained}; {} left", flows(*left)),
        None => format!("{uplink} is not drained; {} on it", flows(*left)),
    }
}

/// Waits until none is left, or it is not drained any more.
fn wait_for_flows(daemon: &Socket, answer: &DrainAnswer) -> anyhow::Result<ExitCode> {
    let mut told = answer.flows;
    let mut answered = Instant::now();
    loop {
        let status = match ask(daemon.socket(), ANSWER_BOUND, fetch_status(daemon.socket())) {
            Ok(status) => status,
            // It is being started again, or is busy.
            Err(_) if answered.elapsed() < RESTART => {
                thread::sleep(LOOK);
                continue;
            }
            Err(error) => return Err(error),
        };
        answered = Instant::now();
        let named = |it: &UplinkStatus| it.name == answer.uplink;
        let Some(uplink) = status.uplinks.into_iter().find(named) else {
            bail!("{} is not configured any more", answer.uplink);
        };
        // A daemon that was started again counts from the beginning.
        let is_counted = status.flows.passes >= answer.passes + SWEEPS
            || status.flows.passes >= SWEEPS && status.flows.passes < answer.passes;
        if is_counted && uplink.flows == 0 {
            say(format_args!("no flow is left on {}", answer.uplink))?;
            return Ok(ExitCode::SUCCESS);
        }
        if uplink.drained.is_none() {
            say(format_args!(
                "{} is not drained any more; {} on it",
                answer.uplink,
                flows(uplink.flows)
            ))?;
            return Ok(ExitCode::FAILURE);
        }
        if is_counted && uplink.flows != told {
            say(format_args!("{} left", flows(uplink.flows)))?;
            told = uplink.flows;
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::drain::DrainStatus;

    #[test]
    fn a_time_is_of_whole_seconds() {
        assert_eq!(time("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(time("1h 1s"), Ok(Duration::from_secs(3601)));
        for text in ["0s", "500ms", "1500ms", "30", "", "-5m", "soon"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_holds_is_one_sentence() {
        let mut answer = DrainAnswer {
            uplink: "fiber".into(),
            drained: None,
            flows: 1,
            passes: 7,
            warning: None,
        };
        assert_eq!(sentence(&answer), "fiber is not drained; 1 flow on it");
        let mut drained = DrainStatus { until: None, left_s: None, takes_new_flows: false };
        answer.drained = Some(drained.clone());
        assert_eq!(sentence(&answer), "fiber is drained; 1 flow left");
        drained.until = Some("2026-11-30T14:30:00Z".into());
        (drained.left_s, drained.takes_new_flows) = (Some(1799.7), true);
        (answer.drained, answer.flows) = (Some(drained), 12);
        assert_eq!(
            sentence(&answer),
            "fiber is drained until 2026-11-30T14:30:00Z (30m); takes new flows all the same, for no other \
             uplink is up; 12 flows left"
        );
    }
}
