//! The `towline` binary: the agent and the command line in one.

use std::process::ExitCode;

/// The allocator of the platform takes a fifth of the time of a render, and more than its share of a large one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before the first TLS connection, of whichever library. Only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    towline::cli::main()
}
