use std::{
    thread,
    time::{Duration, Instant},
};

use crate::LabError;

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(1);

/// Waits until `condition` holds, for at most `bound`. `what` completes "waited in vain until".
///
/// # Errors
///
/// [`LabError::Timeout`], or the condition's own error at once.
pub fn wait_until(
    what: &str,
    bound: Duration,
    mut condition: impl FnMut() -> Result<bool, LabError>,
) -> Result<(), LabError> {
    let deadline = Instant::now() + bound;
    loop {
        // Read before the condition: a process that was stalled still gets a last look.
        let now = Instant::now();
        if condition()? {
            return Ok(());
        }
        if now >= deadline {
            return Err(LabError::Timeout { what: what.to_owned(), bound });
        }
        thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_a_condition_that_comes_true() {
        let mut looks = 0;
        wait_until("the third look", Duration::from_secs(10), || {
            looks += 1;
            Ok(looks == 3)
        })
        .unwrap();
        assert_eq!(looks, 3);
    }

    #[test]
    fn says_what_did_not_happen() {
        let error = wait_until("pigs fly", Duration::ZERO, || Ok(false)).unwrap_err();
        assert_eq!(error.to_string(), "waited 0ns in vain until pigs fly");
    }
}
