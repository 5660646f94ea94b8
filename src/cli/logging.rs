//! What the agent logs, and how.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

/// What is logged where nobody says anything.
const DEFAULT: &str = "info";

/// Sends what is logged to stderr. `level` is that of RUST_LOG: `debug`, or
/// `info,towline=debug` for a part of the program.
///
/// # Errors
/// When the level cannot be understood.
pub(super) fn start(format: LogFormat, level: Option<&str>) -> anyhow::Result<()> {
    let filter = filter(level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(super::colours()).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("failed to start logging: {error}"))
}

fn filter(level: Option<&str>) -> anyhow::Result<EnvFilter> {
    let level = level.filter(|level| !level.is_empty()).unwrap_or(DEFAULT);
    let filter = EnvFilter::builder().parse(level);
    filter.map_err(|error| anyhow::anyhow!("--log-level `{level}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_rust_log() {
        for level in [
            None,
            Some(""),
            Some("debug"),
            Some("warn,towline::agent=trace"),
        ] {
            assert!(filter(level).is_ok(), "{level:?}");
        }
        assert!(filter(Some("towline=loud")).is_err());
    }
}
