//! Free loopback ports.

use crate::{Error, Result};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::TcpListener;

/// Below the range from which Linux (32768 up) and macOS (49152 up) give ports to outgoing
/// connections. Otherwise some client could sit on a component's port while it is stopped for an
/// outage test, and it could not come back.
const RANGE: std::ops::Range<u64> = 20_000..32_000;

/// Picks `N` different ports that were free a moment ago. Another process can still be faster, so
/// callers try again with other ports when binding fails.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let random = RandomState::new();
    let mut held: Vec<TcpListener> = Vec::with_capacity(N);
    let mut ports = [0; N];
    for attempt in 0_u64..2_000 {
        if held.len() == N {
            return Ok(ports);
        }
        let span = RANGE.end - RANGE.start;
        let port = u16::try_from(RANGE.start + random.hash_one(attempt) % span)
            .map_err(|e| Error::new(e.to_string()))?;
        // Held until all are found, so that they differ.
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            ports[held.len()] = port;
            held.push(listener);
        }
    }
    Err(Error::new(
        "found no free TCP ports on 127.0.0.1 between 20000 and 32000",
    ))
}
