//! The `towline` binary: the agent and the command line in one.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before the first TLS connection, of whichever library. Only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    towline::cli::main()
}
