//! `towline blame`: who set each field of a live object: a commit, with the line in Git, or a field
//! manager of the cluster.

mod fields;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Format;
use super::applications::{find, status};
use super::kinds;
use super::screen::Screen;
use super::source::{self, Source};
use super::status::print_value;
use super::table::Table;
use crate::agent::render_options;
use crate::api::ApplicationSpec;
use crate::cluster::{Cluster, Identity, Lookup, MANAGER, Target};
use crate::diff::HIDDEN;
use crate::git::LineOrigin;
use crate::inventory::Owner;
use crate::live::{Operation, entries, shown};
use crate::object::{Gvk, Object};
use crate::render::{self, FieldPath};
use crate::status::short;
use fields::{Field, Holder, fields};

/// The longest value in the table.
const VALUE_LIMIT: usize = 60;

/// Say who set each field of an object: which commit and line, or which field manager
///
/// Fields that towline owns lead to the file and line that set them in the revision that is applied,
/// and to the newest commit that changed that line. Where it cannot be told which line it is, the
/// file is told alone. Other fields have the manager that the API server recorded. Values of Secrets
/// are not shown.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 told, 1 the object or its repository could not be read, \
                        64 the command line cannot be understood."
)]
pub(super) struct BlameArgs {
    /// One object, such as deployment/web
    #[arg(value_name = "KIND/NAME")]
    what: String,
    /// The namespace of the object. Default that of the context
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Only fields at or under this one, such as spec.replicas
    #[arg(long, value_name = "PATH")]
    field: Option<String>,
    /// How many commits back the history is fetched and searched
    #[arg(long, value_name = "COMMITS", default_value = "200", value_parser = clap::value_parser!(u32).range(1..))]
    depth: u32,
    /// Print a list, for scripts
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// One line of the answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    field: String,
    value: String,
    /// The commit, or the manager.
    who: String,
    author: String,
    /// When, RFC 3339.
    at: String,
    place: String,
}

/// `namespace` is that of the kubeconfig's context.
///
/// # Errors
/// When the object, its Application or the repository cannot be read.
pub(super) async fn run(
    args: &BlameArgs,
    cluster: &dyn Cluster,
    namespace: &str,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let Some((kind, name)) = args.what.split_once('/') else {
        bail!(
            "`{}` is no object: write KIND/NAME, such as deployment/{0}",
            args.what
        );
    };
    let live = live(args, cluster, namespace, kind, name).await?;
    let wanted = args.field.as_deref().unwrap_or_default();
    let all = fields(&live);
    let chosen: Vec<&Field<'_>> = all
        .iter()
        .filter(|field| is_under(&field.path.to_string(), wanted))
        .collect();
    if chosen.is_empty() {
        bail!(
            "{} has no field `{wanted}`: without --field all are shown",
            live.id()
        );
    }
    let git = match Owner::named_by(&live) {
        Some(owner) => Some(of_git(args, cluster, &owner, &live, &chosen, screen).await?),
        None => {
            screen.note("no Application owns it: only field managers are told")?;
            None
        }
    };
    let lines: Vec<Line> = chosen
        .into_iter()
        .map(|field| line(field, git.as_ref()))
        .collect();
    print(screen, &lines, args.output)?;
    Ok(0)
}

/// The live object, in the version in which towline owns its fields: their paths mean something only
/// there.
async fn live(
    args: &BlameArgs,
    cluster: &dyn Cluster,
    namespace: &str,
    kind: &str,
    name: &str,
) -> anyhow::Result<Object> {
    let discovery = cluster.discover().await?;
    let resource = kinds::resource(&discovery, kind)?;
    let namespace = args.namespace.as_deref().unwrap_or(namespace);
    let target = kinds::target(resource, namespace, name);
    let Some(live) = cluster.get(&Identity::Agent, &target).await? else {
        bail!(
            "{} is not in the cluster (-n names another namespace)",
            target.id()
        );
    };
    let ours = entries(&live).find(|e| e.manager == MANAGER && e.operation == Operation::Apply);
    let version = ours.map(|entry| entry.api_version.to_owned());
    let other = version.filter(|version| *version != live.gvk().api_version());
    let Some(version) = other else {
        return Ok(live);
    };
    let gvk = Gvk::from_api_version(&version, live.kind());
    let Lookup::Served(resource) = discovery.lookup(&gvk) else {
        return Ok(live);
    };
    let target = Target::new(resource, target.namespace.as_str(), name);
    Ok(cluster
        .get(&Identity::Agent, &target)
        .await?
        .unwrap_or(live))
}

/// Whether a path is this one or below it; written with or without quotes around names.
fn is_under(path: &str, wanted: &str) -> bool {
    let plain = |text: &str| text.replace('"', "");
    let (path, wanted) = (plain(path), plain(wanted));
    let rest = path.strip_prefix(wanted.trim_end_matches('.'));
    rest.is_some_and(|rest| wanted.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What Git says of an object's fields.
struct Declared {
    /// Where each field was set.
    fields: BTreeMap<FieldPath, render::Source>,
    /// By path and line, who wrote it.
    origins: BTreeMap<(String, u32), LineOrigin>,
    /// The Application, for what its spec sets itself.
    application: String,
}

async fn of_git(
    args: &BlameArgs,
    cluster: &dyn Cluster,
    owner: &Owner,
    live: &Object,
    chosen: &[&Field<'_>],
    screen: &mut Screen<'_>,
) -> anyhow::Result<Declared> {
    let application = find(cluster, &owner.namespace, &owner.name).await?;
    let id = application.id().to_string();
    let revision = status(&application).sync.revision;
    if revision.is_empty() {
        bail!(
            "{id} has not applied a revision as a whole yet: towline explain {} -n {}",
            owner.name,
            owner.namespace
        );
    }
    let spec = application.0.get("spec").cloned().unwrap_or(Value::Null);
    let spec: ApplicationSpec =
        serde_json::from_value(spec).with_context(|| format!("spec of {id}"))?;
    let depth = Some(args.depth);
    let place = &owner.namespace;
    let source = source::of_application(cluster, place, &spec, &revision, depth, screen).await?;
    let options = render_options(spec.source.directory.as_ref());
    let dir = spec.source.path.as_deref().unwrap_or_default();
    let traced = render::trace(&source.tree, dir, &options, live.kind())
        .with_context(|| format!("`{dir}` of {}", source.revision))?;
    let found = traced
        .into_iter()
        .find(|(object, _)| is_it(&object.value, live));
    let Some((_, fields)) = found else {
        screen.note(&format!(
            "{} does not declare it: the commit that did was another one",
            short(&revision)
        ))?;
        return Ok(Declared {
            fields: BTreeMap::new(),
            origins: BTreeMap::new(),
            application: id,
        });
    };
    let mut declared = Declared {
        fields,
        origins: BTreeMap::new(),
        application: id,
    };
    let mut lines: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for field in chosen {
        if let Some(place) = declared.of(field)
            && let Some(line) = place.line
        {
            lines.entry(place.path.clone()).or_default().insert(line);
        }
    }
    declared.origins = origins(source, lines).await?;
    Ok(declared)
}

/// Whether a rendered object is this live one. One without a namespace gets that of its Application.
fn is_it(rendered: &Value, live: &Object) -> bool {
    let rendered = Object(rendered.clone());
    let (a, b) = (rendered.id(), live.id());
    (&a.group, &a.kind, &a.name) == (&b.group, &b.kind, &b.name)
        && (a.namespace.is_empty() || a.namespace == b.namespace)
}

/// Reading the history is blocking I/O.
async fn origins(
    source: Source,
    lines: BTreeMap<String, BTreeSet<u32>>,
) -> anyhow::Result<BTreeMap<(String, u32), LineOrigin>> {
    let read = move || -> anyhow::Result<_> {
        let mut all = BTreeMap::new();
        for (path, lines) in lines {
            let commit = &source.revision.commit;
            let found = source.repository.line_origins(commit, &path, lines)?;
            all.extend(
                found
                    .into_iter()
                    .map(|(line, one)| ((path.clone(), line), one)),
            );
        }
        Ok(all)
    };
    tokio::task::spawn_blocking(read).await?
}

impl Declared {
    /// Where a field was set. What a Secret has in `stringData` is in `data` of the live one.
    fn of(&self, field: &Field<'_>) -> Option<&render::Source> {
        let mut path = field.traced();
        if let Some(found) = self.fields.get(&path) {
            return Some(found);
        }
        let first = path.first_mut()?;
        if first != "data" {
            return None;
        }
        "stringData".clone_into(first);
        self.fields.get(&path)
    }
}

fn line(field: &Field<'_>, git: Option<&Declared>) -> Line {
    let value = match field.is_hidden {
        true => HIDDEN.to_owned(),
        false => shown::value(&field.value.to_string(), VALUE_LIMIT),
    };
    let mut line = Line {
        field: field.path.to_string(),
        value,
        ..Line::default()
    };
    match (&field.holder, git) {
        (
            Holder::Other {
                manager,
                operation,
                subresource,
                time,
            },
            _,
        ) => {
            let through = match *subresource {
                "" => String::new(),
                subresource => format!(", {subresource}"),
            };
            line.who = format!("{manager} ({operation}{through})");
            (*time).clone_into(&mut line.at);
        }
        // The identity of an object is nobody's field, and Git's all the same.
        (holder, Some(git)) if *holder == Holder::Git || is_identity(field) => {
            of_line(&mut line, field, git)
        }
        (Holder::Git, _) => line.who = "towline".into(),
        (Holder::Nobody, _) => line.who = "default of the API server".into(),
    }
    line
}

fn is_identity(field: &Field<'_>) -> bool {
    matches!(
        field.path.to_string().as_str(),
        "metadata.name" | "metadata.namespace"
    )
}

/// The commit and the place of a field from Git.
fn of_line(line: &mut Line, field: &Field<'_>, git: &Declared) {
    let Some(place) = git.of(field) else {
        // Its namespace, mostly.
        line.who = "towline".into();
        line.place = format!("spec of {}", git.application);
        return;
    };
    line.place.clone_from(&place.path);
    let Some(number) = place.line else {
        line.who = "Git".into();
        return;
    };
    line.place = format!("{}:{number}", place.path);
    let Some(origin) = git.origins.get(&(place.path.clone(), number)) else {
        line.who = "Git".into();
        return;
    };
    let commit = &origin.commit;
    line.who = match origin.at_or_before {
        true => format!("at or before {}", short(&commit.commit)),
        false => short(&commit.commit).to_owned(),
    };
    line.author.clone_from(&commit.author);
    line.at =
        Timestamp::from_second(commit.time).map_or_else(|_| String::new(), |at| at.to_string());
}

fn print(screen: &mut Screen<'_>, lines: &[Line], output: Option<Format>) -> anyhow::Result<()> {
    if let Some(format) = output {
        let list: Vec<Value> = lines
            .iter()
            .map(|line| {
                json!({"field": line.field, "value": line.value, "by": line.who,
                    "author": line.author, "at": line.at, "place": line.place})
            })
            .collect();
        return Ok(print_value(screen, format, &Value::Array(list))?);
    }
    let mut table = Table::new(["FIELD", "VALUE", "BY", "AUTHOR", "DATE", "FILE"]);
    for line in lines {
        table.row([
            line.field.clone(),
            line.value.clone(),
            line.who.clone(),
            line.author.clone(),
            line.at.clone(),
            line.place.clone(),
        ]);
    }
    Ok(table.print(screen)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::CommitDetails;
    use crate::live::{Path, Step};

    fn field(steps: &[&str], value: &'static Value, holder: Holder<'static>) -> Field<'static> {
        Field {
            path: Path::of(steps),
            value,
            is_hidden: false,
            holder,
        }
    }

    fn declared(at_or_before: bool) -> Declared {
        let place = |line: Option<u32>| render::Source {
            path: "prod/kustomization.yaml".into(),
            line,
        };
        let commit = CommitDetails {
            commit: "1a2b3c4d5e".into(),
            author: "Ann".into(),
            email: String::new(),
            time: 0,
            subject: String::new(),
            parents: Vec::new(),
            is_by_towline: false,
        };
        let path = |steps: &[&str]| steps.iter().map(|s| (*s).to_owned()).collect::<FieldPath>();
        Declared {
            fields: BTreeMap::from([
                (path(&["spec", "replicas"]), place(Some(7))),
                (path(&["metadata", "name"]), place(None)),
                (path(&["stringData", "k"]), place(Some(9))),
            ]),
            origins: BTreeMap::from([(
                ("prod/kustomization.yaml".into(), 7),
                LineOrigin {
                    commit,
                    at_or_before,
                },
            )]),
            application: "Application/team-a/shop".into(),
        }
    }

    #[test]
    fn a_field_of_git_leads_to_commit_and_line() {
        static THREE: Value = Value::Bool(true);
        let replicas = field(&["spec", "replicas"], &THREE, Holder::Git);
        let told = line(&replicas, Some(&declared(false)));
        assert_eq!(
            (told.who.as_str(), told.author.as_str(), told.place.as_str()),
            ("1a2b3c4d", "Ann", "prod/kustomization.yaml:7")
        );
        assert_eq!(told.at, "1970-01-01T00:00:00Z");
        let told = line(&replicas, Some(&declared(true)));
        assert_eq!(told.who, "at or before 1a2b3c4d");
        let name = field(&["metadata", "name"], &THREE, Holder::Nobody);
        let told = line(&name, Some(&declared(false)));
        assert_eq!(
            (told.who.as_str(), told.place.as_str()),
            ("Git", "prod/kustomization.yaml")
        );
        let namespace = field(&["metadata", "namespace"], &THREE, Holder::Nobody);
        let told = line(&namespace, Some(&declared(false)));
        assert_eq!(told.place, "spec of Application/team-a/shop");
    }

    #[test]
    fn a_value_of_a_secret_is_hidden_and_its_line_is_not() {
        static VALUE: Value = Value::Null;
        let mut secret = field(&["data", "k"], &VALUE, Holder::Git);
        secret.is_hidden = true;
        let told = line(&secret, Some(&declared(false)));
        assert_eq!(
            (told.value.as_str(), told.place.as_str()),
            ("***", "prod/kustomization.yaml:9")
        );
    }

    #[test]
    fn others_are_named_with_how_they_wrote() {
        static FIVE: Value = Value::Null;
        let scaled = Holder::Other {
            manager: "kubectl",
            operation: "Update",
            subresource: "scale",
            time: "2026-01-02T00:00:00Z",
        };
        let told = line(
            &field(&["spec", "replicas"], &FIVE, scaled),
            Some(&declared(false)),
        );
        assert_eq!(told.who, "kubectl (Update, scale)");
        assert_eq!(
            (told.at.as_str(), told.place.as_str()),
            ("2026-01-02T00:00:00Z", "")
        );
        let told = line(&field(&["spec", "paused"], &FIVE, Holder::Nobody), None);
        assert_eq!(told.who, "default of the API server");
    }

    #[test]
    fn a_path_is_chosen_as_a_person_writes_it() {
        let image = Path(vec![
            Step::field("spec"),
            Step::field("containers"),
            Step::key("name", "web"),
            Step::field("image"),
        ]);
        let image = image.to_string();
        for wanted in [
            "",
            "spec",
            "spec.",
            "spec.containers[name=web]",
            "spec.containers[name=\"web\"].image",
        ] {
            assert!(is_under(&image, wanted), "{wanted}");
        }
        for wanted in ["sp", "spec.container", "spec.containers[name=we]", "status"] {
            assert!(!is_under(&image, wanted), "{wanted}");
        }
    }
}
