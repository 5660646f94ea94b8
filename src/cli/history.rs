//! `towline history`: which revisions there were, what became of them, and why.

pub(super) mod notes;

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;

use super::age::age;
use super::applications::{find, status};
use super::screen::Screen;
use super::status::print_value;
use super::table::Table;
use super::{Format, Namespace};
use crate::api::HistoryEntry;
use crate::cluster::Cluster;
use crate::git::Scheme;
use crate::status::short;

/// Show which revisions were applied or rolled back, newest first
///
/// The agent keeps `spec.revisionHistoryLimit` of them. REVERTS names the commits that a revision
/// takes back: it renders to what was applied before them.
///
/// With --notes it shows the full record instead, which `spec.audit.notes` keeps in the repository:
/// of all clusters, of whatever Application had this name, and also when the cluster is gone.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// The Application
    name: String,
    #[command(flatten)]
    place: Namespace,
    /// Show the full record out of the notes of the repository, read with the agent's Secret
    #[arg(long)]
    pub(super) notes: bool,
    /// Read the notes of this clone, after `git fetch origin refs/notes/towline:refs/notes/towline`:
    /// no cluster is asked
    #[arg(long, value_name = "DIR", requires = "notes")]
    repo: Option<PathBuf>,
    /// Allow a repository URL of this scheme besides https and ssh, as the agent's own
    /// --allow-scheme
    #[arg(long, value_name = "SCHEME", value_parser = super::agent::scheme, requires = "notes")]
    allow_scheme: Vec<Scheme>,
    /// Print all that is known, for scripts
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// # Errors
/// When the Application cannot be read.
pub(super) async fn run(
    args: &HistoryArgs,
    cluster: &dyn Cluster,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let application = find(cluster, &args.place.namespace, &args.name).await?;
    let history = status(&application).history;
    if let Some(format) = args.output {
        print_value(screen, format, &json!(history))?;
    } else if history.is_empty() {
        screen.note("nothing was applied yet")?;
    } else {
        table(&history, Timestamp::now()).print(screen)?;
    }
    Ok(0)
}

fn table(history: &[HistoryEntry], now: Timestamp) -> Table {
    let mut table = Table::new([
        "APPLIED", "REVISION", "OUTCOME", "HEALTHY", "CHANGED", "AUTHOR", "SUBJECT",
    ]);
    for entry in history {
        let reverts: Vec<&str> = entry.reverts.iter().map(|commit| short(commit)).collect();
        let notes = [
            entry.subject.clone(),
            match reverts.is_empty() {
                true => String::new(),
                false => format!("(reverts {})", reverts.join(", ")),
            },
            entry
                .message
                .as_ref()
                .map(|why| format!("({why})"))
                .unwrap_or_default(),
        ];
        let notes: Vec<String> = notes.into_iter().filter(|note| !note.is_empty()).collect();
        table.row([
            format!("{} ago", age(Some(&entry.deployed_at), now)),
            short(&entry.revision).to_owned(),
            entry.outcome.clone(),
            healthy_after(entry),
            entry.changed.to_string(),
            entry.author.clone(),
            notes.join(" "),
        ]);
    }
    table
}

/// The time from the first write until everything was healthy.
fn healthy_after(entry: &HistoryEntry) -> String {
    let end = entry.healthy_at.as_deref().and_then(|at| at.parse().ok());
    match (&entry.started_at, end) {
        (Some(start), Some(end)) => format!("after {}", age(Some(start), end)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::screen::printed;
    use super::*;

    #[test]
    fn a_revision_says_what_became_of_it_and_why() {
        let entry = |value: serde_json::Value| -> HistoryEntry {
            serde_json::from_value(value).expect("an entry")
        };
        let history = [
            entry(
                json!({"revision": "c".repeat(40), "deployedAt": "2026-01-01T10:00:00Z",
                "outcome": "Healthy", "startedAt": "2026-01-01T09:59:50Z",
                "healthyAt": "2026-01-01T10:00:20Z", "changed": 2, "author": "Ann",
                "subject": "Revert", "reverts": ["b".repeat(40)]}),
            ),
            entry(
                json!({"revision": "b".repeat(40), "deployedAt": "2026-01-01T09:00:00Z",
                "outcome": "RolledBack", "changed": 2, "author": "Bob", "subject": "Faster",
                "message": "OOMKilled: web"}),
            ),
        ];
        let now = "2026-01-01T11:00:00Z".parse().expect("a time");
        let (result, out, _) = printed(|screen| table(&history, now).print(screen));
        result.expect("printed");
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[1].contains("cccccccc   Healthy"), "{out}");
        assert!(lines[1].contains("after 30s"), "{out}");
        assert!(lines[1].ends_with("Revert (reverts bbbbbbbb)"), "{out}");
        assert!(lines[2].contains("RolledBack"), "{out}");
        assert!(lines[2].ends_with("Faster (OOMKilled: web)"), "{out}");
    }
}
