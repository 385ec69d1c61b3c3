//! The control plane, simulated: the controller, the installer and the packet path are the real ones, and host,
//! clock and operator follow from a seed. After each event what must hold is looked at, by packets where that is
//! where they go. Of a run that fails the shortest list of events is printed.

mod configuration;
mod content;
mod event;
mod fresh;
mod gateway;
mod invariants;
mod mischief;
mod pace;
mod packets;
mod plane;
mod run;
mod shrink;
mod world;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mischief::Mischief;
use run::{Finding, Played, Scenario};

/// From where, for how many seconds, and how many runs the simulator goes, by `cargo xtask sim`.
const SEED: &str = "POINTSMAN_SIM_SEED";
const SECONDS: &str = "POINTSMAN_SIM_SECONDS";
const RUNS: &str = "POINTSMAN_SIM_RUNS";

/// Plays the scenario of a seed.
///
/// # Errors
/// The shortest like it that fails, and how.
fn play(seed: u64, mischief: Mischief, base: Instant) -> Result<Played, (Scenario, Finding)> {
    let scenario = Scenario::draw(seed);
    scenario.play(mischief, base).map_err(|finding| {
        shrink::shrink(&scenario, finding, |scenario| scenario.play(mischief, base).err())
    })
}

fn report((scenario, finding): &(Scenario, Finding)) -> String {
    let Finding { invariant, what, after } = finding;
    let seed = scenario.seed;
    format!(
        "seed {seed}: it does not hold that {invariant}, after event {after}:\n{what}\n\n{scenario}\n\
         To play it again: cargo xtask sim --seed {seed} --runs 1"
    )
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value} is no number")))
}

/// Plays one scenario after the other from this seed on, on all cores, until there are enough or one fails.
fn play_many(seed: u64, seconds: u64, runs: u64) {
    let (started, base) = (Instant::now(), Instant::now());
    let end = started + Duration::from_secs(seconds);
    let next = AtomicU64::new(0);
    let (events, packets) = (AtomicU64::new(0), AtomicU64::new(0));
    let has_failed = AtomicBool::new(false);
    let work = || {
        while Instant::now() < end && !has_failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= runs {
                return;
            }
            match play(seed.wrapping_add(number), Mischief::None, base) {
                Ok(played) => {
                    events.fetch_add(played.told, Ordering::Relaxed);
                    packets.fetch_add(played.packets, Ordering::Relaxed);
                }
                Err(failed) => {
                    has_failed.store(true, Ordering::Relaxed);
                    eprintln!("{}", report(&failed));
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (runs, events) = (next.into_inner().min(runs), events.into_inner());
    let elapsed = started.elapsed().as_secs_f64();
    let per_second = |count: u64| count as f64 / elapsed;
    println!(
        "seeds {seed} to {}: {runs} runs, {events} events, {} packets; {:.0} runs/s, {:.0} events/s",
        seed.wrapping_add(runs.saturating_sub(1)),
        packets.into_inner(),
        per_second(runs),
        per_second(events)
    );
    assert!(!has_failed.into_inner(), "something does not hold: see above");
}

fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64 >> 10)
}

#[test]
fn what_must_hold_does() {
    play_many(1, 10, 400);
    play_many(fresh_seed(), 3, u64::MAX);
}

/// Run by `cargo xtask sim`.
#[test]
#[ignore = "runs for as long as it is told"]
fn for_a_time() {
    let seconds = number(SECONDS).expect("how many seconds is told");
    let seed = number(SEED).unwrap_or_else(fresh_seed);
    play_many(seed, seconds, number(RUNS).unwrap_or(u64::MAX));
}

#[test]
fn a_seed_is_a_run() {
    let base = Instant::now();
    let play = |seed| format!("{:?}", Scenario::draw(seed).play(Mischief::None, base));
    assert_eq!(play(7), play(7));
    assert_ne!(play(7), play(8));
}

/// A simulator that finds nothing proves nothing.
#[test]
fn every_bug_that_is_made_on_purpose_is_found_in_a_few_events() {
    const MOST_RUNS: u64 = 400;
    const MOST_EVENTS: usize = 8;
    let base = Instant::now();
    for mischief in mischief::ALL {
        let found = (1..=MOST_RUNS).find_map(|seed| play(seed, mischief, base).err());
        let (scenario, finding) = found.unwrap_or_else(|| panic!("{mischief:?} is not found"));
        println!("{mischief:?}, {}", report(&(scenario.clone(), finding)));
        assert!(scenario.events.len() <= MOST_EVENTS, "{mischief:?}: {scenario}");
    }
}
