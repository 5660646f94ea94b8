//! `towline diff`: what applying a directory or a commit would change, as `kubectl diff` shows it, or
//! as a comment on a pull request.

mod compare;
mod departed;
mod markdown;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::applications::find;
use super::render::{How, Rendered, render_dir, render_tree};
use super::screen::{Screen, Tone};
use super::source;
use super::status::print_value;
use super::{Format, NAMESPACE, Namespace};
use crate::agent::render_options;
use crate::api::{ApplicationSpec, Policy};
use crate::cluster::Cluster;
use crate::desired::{Defaults, Desired, build};
use crate::inventory::Owner;
use crate::live::shown;
use crate::render::Options;
use crate::status::short;
use compare::compare;
use departed::departed;
use markdown::Page;

/// Nothing differs; something does; something could not be compared.
const SAME: u8 = 0;
const DIFFERENT: u8 = 1;
const FAILED: u8 = 2;

/// Show what applying a directory or a commit would change in the cluster
///
/// Every object is applied as a dry run on the server, so that defaults and what other writers own
/// are no differences. That takes the rights to patch. Values of Secrets are not shown. Of an
/// Application it is also said what would be adopted, created anew and pruned.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 no differences, 1 differences, 2 something could not be \
                        rendered or compared, 64 the command line cannot be understood."
)]
pub(super) struct DiffArgs {
    /// The directory, such as a checkout's overlays/prod. With --revision and --application the
    /// default is the one that the Application names, in its own repository
    #[arg(required_unless_present = "revision")]
    dir: Option<PathBuf>,
    /// Compare this commit, not the files that are there: a branch, a tag or a commit, of the clone
    /// that the directory is in (where the first digits are enough), or else of the Application's
    /// repository
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Compare as this Application would: into its namespace, with what would be pruned
    #[arg(short, long, value_name = "NAME")]
    application: Option<String>,
    #[command(flatten)]
    place: Namespace,
    /// The namespace of objects that name none. Default that of the Application, else that of the context
    #[arg(long, value_name = "NAME")]
    into: Option<String>,
    /// The agent's namespace, which holds what the Application owns
    #[arg(long, value_name = "NAME", default_value = NAMESPACE)]
    agent_namespace: String,
    /// Print a list of changes, for scripts
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// Print a comment for a pull request, of at most the 65,536 characters that GitHub takes
    #[arg(long, conflicts_with = "output")]
    markdown: bool,
    #[command(flatten)]
    how: How,
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// `Kind/namespace/name`.
    object: String,
    verdict: Verdict,
    /// Why it could not be dry-run, or whom it belongs to; empty where there is nothing to say.
    note: String,
    /// Its file in the repository, with the line where that is known.
    place: String,
    /// The unified diff; empty where there is none.
    text: String,
}

/// What would be done about one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Same,
    Create,
    Update,
    /// It is there and nobody's, and becomes the Application's.
    Adopt,
    /// It is deleted, and created anew.
    Recreate,
    Prune,
    /// It left Git and stays in the cluster.
    Keep,
    /// It belongs to somebody else, or has to wait: nothing is done.
    Leave,
    /// It could not be compared.
    Failed,
}

impl Verdict {
    /// All of them, in the order in which they are counted.
    const ALL: [Self; 9] = [
        Self::Same,
        Self::Create,
        Self::Update,
        Self::Adopt,
        Self::Recreate,
        Self::Prune,
        Self::Keep,
        Self::Leave,
        Self::Failed,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Create => "create",
            Self::Update => "update",
            Self::Adopt => "adopt",
            Self::Recreate => "recreate",
            Self::Prune => "prune",
            Self::Keep => "keep",
            Self::Leave => "leave",
            Self::Failed => "failed",
        }
    }
}

/// The Application in whose name is compared.
struct Subject {
    owner: Owner,
    spec: ApplicationSpec,
    policy: Policy,
    namespace: String,
    options: Options,
}

/// `namespace` is that of the kubeconfig's context.
///
/// # Errors
/// When nothing could be compared; what could not be compared of many is told one by one.
pub(super) async fn run(
    args: &DiffArgs,
    cluster: &dyn Cluster,
    namespace: &str,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let subject = match &args.application {
        Some(name) => Some(subject(args, cluster, name).await?),
        None => None,
    };
    let options = subject
        .as_ref()
        .map_or_else(|| args.how.options(), |s| s.options.clone());
    let (rendered, commit) = rendered(args, subject.as_ref(), &options, cluster, screen).await?;
    for warning in &rendered.warnings {
        screen.note(&format!("warning: {warning}"))?;
    }
    let owner = subject.as_ref().map_or_else(nobody, |s| s.owner.clone());
    let namespace = match (&args.into, &subject) {
        (Some(namespace), _) => namespace.as_str(),
        (None, Some(subject)) => subject.namespace.as_str(),
        (None, None) => namespace,
    };
    let discovery = cluster.discover().await?;
    let mut defaults = subject
        .as_ref()
        .map_or_else(Defaults::default, |s| Defaults::from(&s.policy));
    namespace.clone_into(&mut defaults.namespace);
    let desired = build(&rendered.objects, &discovery, &owner, defaults)
        .map_err(|mistakes| anyhow::anyhow!(mistakes.to_string().replace('\n', "\nerror: ")))?;
    for note in &desired.notes {
        screen.note(&format!("warning: {note}"))?;
    }
    let mut notes: Vec<String> = desired
        .hooks
        .iter()
        .map(|(id, hook)| {
            let phases: Vec<&str> = hook.phases.iter().map(|phase| phase.as_str()).collect();
            let phases = phases.join(",");
            format!("{phases} hook {id} runs in the sync and is not compared")
        })
        .collect();
    if desired.objects.is_empty() && subject.is_none() {
        let dir = args.dir.as_deref().unwrap_or(Path::new("."));
        bail!("`{}` has no objects", dir.display());
    }
    let mut entries = compare(cluster, &desired, subject.as_ref(), screen).await?;
    if let Some(subject) = &subject {
        let departed = departed(cluster, &discovery, &desired, subject, args).await?;
        entries.extend(departed.0);
        notes.extend(departed.1);
    }
    if args.markdown {
        let name = subject.as_ref().map(|s| s.owner.application());
        let page = Page {
            subject: name.as_deref().unwrap_or(namespace),
            revision: commit.as_deref().map(short),
            notes: &notes,
            entries: &entries,
        };
        screen.print(&markdown::page(&page))?;
        return Ok(exit_code(&entries));
    }
    for note in &notes {
        screen.note(note)?;
    }
    report(screen, &entries, args.output)
}

/// Renders what is compared; and the commit that it is, where one was asked for.
async fn rendered(
    args: &DiffArgs,
    subject: Option<&Subject>,
    options: &Options,
    cluster: &dyn Cluster,
    screen: &mut Screen<'_>,
) -> anyhow::Result<(Rendered, Option<String>)> {
    let Some(revision) = &args.revision else {
        let dir = args.dir.as_deref().context("name a directory")?;
        return Ok((render_dir(dir, options)?, None));
    };
    let (source, path) = match (&args.dir, subject) {
        (Some(dir), _) => source::of_directory(dir, revision).await?,
        (None, Some(subject)) => {
            let (place, spec) = (&subject.owner.namespace, &subject.spec);
            let source =
                source::of_application(cluster, place, spec, revision, None, screen).await?;
            let path = spec.source.path.clone().unwrap_or_default();
            (source, path)
        }
        (None, None) => {
            bail!("--revision needs a directory in a clone, or --application for its repository")
        }
    };
    let rendered = render_tree(&source.tree, &path, options)
        .with_context(|| format!("`{path}` of {}", source.revision))?;
    Ok((rendered, Some(source.revision.commit)))
}

/// Reads the Application that is compared for.
async fn subject(args: &DiffArgs, cluster: &dyn Cluster, name: &str) -> anyhow::Result<Subject> {
    let application = find(cluster, &args.place.namespace, name).await?;
    let spec = application.0.get("spec").cloned().unwrap_or(Value::Null);
    let spec: ApplicationSpec =
        serde_json::from_value(spec).with_context(|| format!("spec of {}", application.id()))?;
    let policy = Policy::from_spec(&spec)?;
    let mut options = args.how.options();
    options.directory = render_options(spec.source.directory.as_ref()).directory;
    Ok(Subject {
        owner: Owner {
            install: args.agent_namespace.clone(),
            namespace: application.namespace().to_owned(),
            name: name.to_owned(),
        },
        spec,
        namespace: policy.namespace.clone(),
        policy,
        options,
    })
}

/// Whose marks a comparison puts in that is for no Application; they are not shown.
fn nobody() -> Owner {
    Owner {
        install: "towline-diff".into(),
        namespace: String::new(),
        name: String::new(),
    }
}

fn report(
    screen: &mut Screen<'_>,
    entries: &[Entry],
    output: Option<Format>,
) -> anyhow::Result<u8> {
    if let Some(format) = output {
        let told = entries
            .iter()
            .filter(|entry| entry.verdict != Verdict::Same);
        let list: Vec<Value> = told
            .map(|entry| {
                json!({
                    "object": entry.object,
                    "change": entry.verdict.as_str(),
                    "note": entry.note,
                    "place": entry.place,
                    "diff": entry.text,
                })
            })
            .collect();
        print_value(screen, format, &Value::Array(list))?;
    } else {
        for entry in entries {
            print(screen, entry)?;
        }
    }
    Ok(exit_code(entries))
}

fn exit_code(entries: &[Entry]) -> u8 {
    let has = |wanted: &[Verdict]| entries.iter().any(|entry| wanted.contains(&entry.verdict));
    let changes = [
        Verdict::Create,
        Verdict::Update,
        Verdict::Recreate,
        Verdict::Prune,
    ];
    // One that is adopted as it is changes nothing that anybody declares.
    let is_changed = |entry: &Entry| entry.verdict == Verdict::Adopt && !entry.text.is_empty();
    if has(&[Verdict::Failed]) {
        FAILED
    } else if has(&changes) || entries.iter().any(is_changed) {
        DIFFERENT
    } else {
        SAME
    }
}

fn print(screen: &mut Screen<'_>, entry: &Entry) -> std::io::Result<()> {
    let object = &shown::line(&entry.object, 512);
    match entry.verdict {
        Verdict::Failed => screen.note(&format!("error: {object}: {}", entry.note))?,
        Verdict::Prune => {
            let line = format!("{object} would be pruned: it left Git");
            screen.line(&screen.paint(Tone::Bad, &line))?;
        }
        Verdict::Adopt | Verdict::Recreate => {
            let line = format!("{object}: {}", shown::line(&entry.note, 1024));
            screen.line(&screen.paint(Tone::Bad, &line))?;
            print_diff(screen, &entry.text)?;
        }
        Verdict::Keep | Verdict::Leave => screen.note(&format!("{object}: {}", entry.note))?,
        Verdict::Same | Verdict::Create | Verdict::Update => {
            if !entry.note.is_empty() && entry.verdict != Verdict::Same {
                screen.note(&format!("{object}: {}", entry.note))?;
            }
            print_diff(screen, &entry.text)?;
        }
    }
    Ok(())
}

/// Prints a unified diff, in colours where they are wanted.
pub(super) fn print_diff(screen: &mut Screen<'_>, text: &str) -> std::io::Result<()> {
    for line in text.lines() {
        let tone = match line.as_bytes().first() {
            Some(b'+') => Tone::Good,
            Some(b'-') => Tone::Bad,
            Some(b'@') => Tone::Place,
            _ => Tone::Plain,
        };
        screen.line(&screen.paint(tone, line))?;
    }
    Ok(())
}

/// The objects that are compared: not those that Git says to leave alone.
fn compared(desired: &Desired) -> impl Iterator<Item = &crate::desired::DesiredObject> {
    desired
        .objects
        .values()
        .map(AsRef::as_ref)
        .filter(|object| !object.ignored)
}

#[cfg(test)]
mod tests;
