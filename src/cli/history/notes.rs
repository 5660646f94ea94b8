//! `towline history --notes`: the full record, out of the notes of the repository. It is there when
//! the status is not any more.

use std::cmp::Reverse;
use std::fs;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::HistoryArgs;
use crate::agent::credentials::{credential, secrets};
use crate::api::ApplicationSpec;
use crate::cli::age::age;
use crate::cli::applications::find;
use crate::cli::screen::Screen;
use crate::cli::status::print_value;
use crate::cli::table::Table;
use crate::cli::temporary::Temporary;
use crate::cluster::Cluster;
use crate::git::{AllowedSchemes, Cache, Credential, NOTES, RemoteUrl, Scheme};
use crate::status::{Record, short};

/// The repository, and how it is read.
pub(crate) struct Place {
    remote: RemoteUrl,
    credential: Credential,
}

/// The repository of the Application, and its Secret.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) async fn of_application(
    args: &HistoryArgs,
    cluster: &dyn Cluster,
) -> anyhow::Result<Place> {
    let namespace = args.place.namespace.as_str();
    let application = find(cluster, namespace, &args.name).await;
    let application = application.context("with --repo DIR a clone is read, and no cluster")?;
    let spec = application.0.get("spec").cloned().unwrap_or(Value::Null);
    let spec: ApplicationSpec =
        serde_json::from_value(spec).with_context(|| format!("spec of {}", application.id()))?;
    let allowed = AllowedSchemes::with(args.allow_scheme.iter().copied());
    let remote = RemoteUrl::parse(&spec.source.repo_url, &allowed)?;
    let found = secrets(cluster, namespace).await.with_context(|| {
        format!(
            "reading the repository Secrets of namespace `{namespace}` (with --repo DIR none is \
             needed)"
        )
    })?;
    Ok(Place {
        remote,
        credential: credential(&found, &spec.source.repo_url)?,
    })
}

/// The clone that the person names; none when they name none.
///
/// # Errors
/// When it is not there.
pub(crate) fn of_clone(args: &HistoryArgs) -> anyhow::Result<Option<Place>> {
    let Some(clone) = &args.repo else {
        return Ok(None);
    };
    let path = fs::canonicalize(clone)
        .with_context(|| format!("opening the clone `{}`", clone.display()))?;
    let url = format!("file://{}", path.display());
    Ok(Some(Place {
        remote: RemoteUrl::parse(&url, &AllowedSchemes::with([Scheme::File]))?,
        credential: Credential::none(),
    }))
}

/// Prints what the notes say of the Application. Blocks, and belongs outside of async code.
///
/// # Errors
/// When the repository cannot be read.
pub(crate) fn run(
    args: &HistoryArgs,
    place: &Place,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let directory = Temporary::new()?;
    let cache = Cache::new(directory.path())?;
    let repository = cache.repository(&place.remote, &place.credential)?;
    let application = format!("{}/{}", args.place.namespace, args.name);
    let mut found: Vec<(Record, String)> = Vec::new();
    let mut skipped: Vec<String> = Vec::new();
    let has_notes = repository.read_notes(&mut |commit, note| {
        let Some(note) = note else {
            return skipped.push(commit.to_owned());
        };
        let records = note.lines().filter_map(Record::parse);
        let own = records.filter(|record| record.get("application") == Some(&application));
        found.extend(own.map(|record| (record, commit.to_owned())));
    })?;
    if !has_notes && args.repo.is_some() {
        bail!(
            "{} has no {NOTES}: `git fetch origin {NOTES}:{NOTES}` first",
            place.remote
        );
    }
    for commit in &skipped {
        screen.note(&format!(
            "the note of commit {commit} is too large to be read and left out: shorten it by hand (`git \
             notes --ref=towline edit {commit}`)"
        ))?;
    }
    sort(&mut found);
    if let Some(format) = args.output {
        let all: Vec<Value> = found.iter().map(|(record, at)| value(record, at)).collect();
        print_value(screen, format, &json!(all))?;
    } else if found.is_empty() {
        screen.note(&format!(
            "{NOTES} of {} has nothing of {application}: spec.audit.notes has it written",
            place.remote
        ))?;
    } else {
        table(&found, Timestamp::now()).print(screen)?;
    }
    Ok(0)
}

/// The newest first, and each once: a merge of notes may leave a line twice. All times are UTC and
/// written alike, so that their text has their order.
fn sort(found: &mut Vec<(Record, String)>) {
    let key = |(record, commit): &(Record, String)| {
        (record.at.clone(), commit.clone(), record.fields.clone())
    };
    found.sort_by_cached_key(|one| Reverse(key(one)));
    found.dedup();
}

/// What has a column of its own.
const COLUMNS: [&str; 4] = ["application", "cluster", "outcome", "took"];

fn table(found: &[(Record, String)], now: Timestamp) -> Table {
    let mut table = Table::new([
        "TIME", "AGE", "REVISION", "CLUSTER", "OUTCOME", "TOOK", "DETAILS",
    ]);
    for (record, commit) in found {
        let get = |key| record.get(key).unwrap_or_default().to_owned();
        let rest = record.fields.iter();
        let rest = rest.filter(|(key, _)| !COLUMNS.contains(&key.as_str()) && key != "digest");
        let rest: Vec<String> = rest.map(|(key, value)| format!("{key}: {value}")).collect();
        table.row([
            record.at.clone(),
            age(Some(&record.at), now),
            short(commit).to_owned(),
            get("cluster"),
            get("outcome"),
            get("took"),
            rest.join("; "),
        ]);
    }
    table
}

fn value(record: &Record, commit: &str) -> Value {
    let mut map = Map::new();
    map.insert("time".into(), record.at.clone().into());
    map.insert("revision".into(), commit.into());
    for (key, value) in &record.fields {
        map.insert(key.clone(), value.clone().into());
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_there_twice_is_told_once() {
        let at = "2026-11-30T14:00:00Z";
        let one =
            |application: &str| (Record::new(at).with("application", application), "a".into());
        let newer = (Record::new("2026-11-30T15:00:00Z"), String::from("a"));
        let mut found = vec![one("x/shop"), one("x/web"), one("x/shop"), newer.clone()];
        sort(&mut found);
        assert_eq!(found, [newer, one("x/web"), one("x/shop")]);
    }
}
