//! Polling with a deadline, the only kind of waiting in this crate.

use crate::{Error, Result};
use std::time::{Duration, Instant};

/// Polls `probe` until it returns a value. After `timeout`, fails with `what` that was waited for
/// and with the last reason that the probe gave.
pub fn wait_until<T>(
    what: &str,
    timeout: Duration,
    mut probe: impl FnMut() -> std::result::Result<T, String>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(last) if started.elapsed() >= timeout => {
                let seconds = timeout.as_secs_f32();
                return Err(Error::new(format!(
                    "waited {seconds:.0} s for {what}, without success: {last}"
                )));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(40)),
        }
    }
}
