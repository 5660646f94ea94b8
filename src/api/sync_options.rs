//! `syncOptions` of an Application, and `argocd.argoproj.io/sync-options` of an object: Argo CD's
//! words, each honoured or refused by name. One table is the source of the parser, of its messages
//! and of the rules in the schema.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::Propagation;

/// What is done with an object whose time is up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Removal {
    /// It is deleted.
    #[default]
    Delete,
    /// It is deleted once a person confirmed that.
    Confirm,
    /// It is left alone, and forgotten.
    Keep,
}

/// What an Application asks for in `spec.syncPolicy.syncOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncOptions {
    /// `CreateNamespace=true`: `destination.namespace` is created where it is missing.
    pub create_namespace: bool,
    /// `PruneLast=true`: nothing is pruned before everything of the revision is healthy.
    pub prune_last: bool,
    /// `PrunePropagationPolicy`.
    pub propagation: Propagation,
    /// `Replace=true`: objects are written whole, not applied, where they do not say otherwise.
    pub replace: bool,
    /// `Force=true`: objects are created anew where a field cannot be changed in place.
    pub force: bool,
}

/// What an object asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectOptions {
    /// When it leaves Git.
    pub prune: Removal,
    /// When its Application is deleted with the finalizer.
    pub delete: Removal,
    /// It is not pruned before everything of the revision is healthy.
    pub prune_last: bool,
    /// It is written whole, not applied; `None` as the Application says.
    pub replace: Option<bool>,
    /// It is created anew, at once, where a field cannot be changed in place; `None` as the
    /// Application says.
    pub force: Option<bool>,
}

/// One option: its name, the values that are honoured on an Application and on an object, and why
/// others are not.
struct Known {
    name: &'static str,
    application: &'static [&'static str],
    object: &'static [&'static str],
    why: &'static str,
}

const ANY: &[&str] = &["true", "false"];
const TRUE: &[&str] = &["true"];
const NONE: &[&str] = &[];
const FATES: &[&str] = &["true", "false", "confirm"];

/// All options of Argo CD.
#[rustfmt::skip]
const TABLE: &[Known] = &[
    Known { name: "ApplyOutOfSyncOnly", application: ANY, object: NONE, why: "it is for an Application; towline never writes an object that is as it should be" },
    Known { name: "ClientSideApplyMigration", application: TRUE, object: NONE, why: "what kubectl left behind is always taken over" },
    Known { name: "CreateNamespace", application: ANY, object: NONE, why: "it is for an Application" },
    Known { name: "Delete", application: NONE, object: FATES, why: "it is for an object; without the finalizer an Application that is deleted leaves all of them" },
    Known { name: "FailOnSharedResource", application: TRUE, object: NONE, why: "an object has one owner, always" },
    Known { name: "Force", application: ANY, object: ANY, why: "" },
    Known { name: "Prune", application: NONE, object: FATES, why: "it is for an object; spec.syncPolicy.automated.prune is for all of them" },
    Known { name: "PruneLast", application: ANY, object: ANY, why: "" },
    Known { name: "PrunePropagationPolicy", application: &["background", "foreground", "orphan"], object: NONE, why: "it is for an Application" },
    Known { name: "Replace", application: ANY, object: ANY, why: "" },
    Known { name: "RespectIgnoreDifferences", application: TRUE, object: NONE, why: "an ignored field is left alone by every apply, always" },
    Known { name: "ServerSideApply", application: TRUE, object: TRUE, why: "towline always applies server-side; Replace=true is for what that refuses" },
    Known { name: "SkipDryRunOnMissingResource", application: ANY, object: ANY, why: "" },
    Known { name: "Validate", application: TRUE, object: TRUE, why: "a server-side apply always validates" },
];

/// Who carries an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Application,
    Object,
}

impl Known {
    fn values(&self, carrier: Carrier) -> &'static [&'static str] {
        match carrier {
            Carrier::Application => self.application,
            Carrier::Object => self.object,
        }
    }

    /// What to say about a value that is not honoured.
    fn refusal(&self, carrier: Carrier) -> String {
        let values = self.values(carrier);
        let why = if self.why.is_empty() {
            String::new()
        } else {
            format!(": {}", self.why)
        };
        match values {
            [] => format!("{} is not supported here{why}", self.name),
            _ => format!("supported is {}={}{why}", self.name, values.join("|")),
        }
    }
}

/// The options that a carrier may have, for messages.
fn known(carrier: Carrier) -> String {
    let all: Vec<String> = TABLE
        .iter()
        .filter(|row| !row.values(carrier).is_empty())
        .map(|row| format!("{}={}", row.name, row.values(carrier).join("|")))
        .collect();
    all.join(", ")
}

/// Reads options one by one: name, value. Each may come once.
fn read<'a>(
    options: impl Iterator<Item = &'a str>,
    carrier: Carrier,
) -> Result<Vec<(&'static str, &'a str)>, Vec<String>> {
    let mut found: Vec<(&'static str, &str)> = Vec::new();
    let mut wrong = Vec::new();
    for option in options.map(str::trim).filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let (name, value) = (name.trim(), value.trim());
        match TABLE.iter().find(|row| row.name == name) {
            None => wrong.push(format!(
                "`{option}` is unknown; known are {}",
                known(carrier)
            )),
            Some(row) if !row.values(carrier).contains(&value) => {
                wrong.push(format!("`{option}`: {}", row.refusal(carrier)));
            }
            Some(row) if found.iter().any(|(other, _)| *other == row.name) => {
                wrong.push(format!("`{}` is there twice", row.name));
            }
            Some(row) => found.push((row.name, value)),
        }
    }
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(wrong)
    }
}

impl SyncOptions {
    /// Reads `spec.syncPolicy.syncOptions`.
    ///
    /// # Errors
    /// Every option that cannot be honoured, with the reason.
    pub fn read<'a>(options: impl Iterator<Item = &'a str>) -> Result<Self, Vec<String>> {
        let mut read_options = Self::default();
        for (name, value) in read(options, Carrier::Application)? {
            let on = value == "true";
            match name {
                "CreateNamespace" => read_options.create_namespace = on,
                "PruneLast" => read_options.prune_last = on,
                "Replace" => read_options.replace = on,
                "Force" => read_options.force = on,
                "PrunePropagationPolicy" => {
                    read_options.propagation = match value {
                        "foreground" => Propagation::Foreground,
                        "orphan" => Propagation::Orphan,
                        _ => Propagation::Background,
                    }
                }
                // What towline does in any case.
                _ => {}
            }
        }
        Ok(read_options)
    }
}

impl ObjectOptions {
    /// Reads the annotation `argocd.argoproj.io/sync-options`: options with commas between.
    ///
    /// # Errors
    /// Every option that cannot be honoured, with the reason.
    pub fn read(text: &str) -> Result<Self, Vec<String>> {
        let mut options = Self::default();
        for (name, value) in read(text.split(','), Carrier::Object)? {
            let fate = match value {
                "false" => Removal::Keep,
                "confirm" => Removal::Confirm,
                _ => Removal::Delete,
            };
            match name {
                "Prune" => options.prune = fate,
                "Delete" => options.delete = fate,
                "PruneLast" => options.prune_last = value == "true",
                "Replace" => options.replace = Some(value == "true"),
                "Force" => options.force = Some(value == "true"),
                _ => {}
            }
        }
        Ok(options)
    }
}

/// For the schema: each option by the values that are honoured, and its refusal. The last is for
/// names that nobody knows.
pub(super) fn rules() -> Value {
    let quoted = |values: &[String]| {
        let all: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
        all.join(", ")
    };
    let field = "spec.syncPolicy.syncOptions";
    let mut rules: Vec<Value> = TABLE
        .iter()
        .map(|row| {
            let honoured: Vec<String> = row
                .application
                .iter()
                .map(|value| format!("{}={value}", row.name))
                .collect();
            let rule = format!(
                "self.all(o, !o.startsWith('{}=') || o in [{}])",
                row.name,
                quoted(&honoured)
            );
            let message = format!("{field}: {}", row.refusal(Carrier::Application));
            json!({"rule": rule, "message": message})
        })
        .collect();
    let names: Vec<String> = TABLE.iter().map(|row| format!("{}=", row.name)).collect();
    let rule = format!(
        "self.all(o, [{}].exists(name, o.startsWith(name)))",
        quoted(&names)
    );
    let known = known(Carrier::Application);
    let message = format!("{field}: an option is unknown; known are {known}");
    rules.push(json!({"rule": rule, "message": message}));
    Value::Array(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_may_say_what_becomes_of_it_when_it_leaves_and_when_its_application_does() {
        let read = |text| ObjectOptions::read(text).expect(text);
        assert_eq!(read(""), ObjectOptions::default());
        assert_eq!(
            read("Prune=false"),
            ObjectOptions {
                prune: Removal::Keep,
                ..ObjectOptions::default()
            }
        );
        assert_eq!(
            read(" Delete=confirm , PruneLast=true,ServerSideApply=true"),
            ObjectOptions {
                delete: Removal::Confirm,
                prune_last: true,
                ..ObjectOptions::default()
            }
        );
    }

    #[test]
    fn replace_and_force_are_only_what_somebody_said() {
        let read = |text| ObjectOptions::read(text).expect(text);
        let both = read("Force=true,Replace=true");
        assert_eq!((both.force, both.replace), (Some(true), Some(true)));
        let neither = read("Prune=false");
        assert_eq!((neither.force, neither.replace), (None, None));
        assert_eq!(read("Force=false").force, Some(false));
    }

    #[test]
    fn what_cannot_be_honoured_is_named_with_the_reason() {
        let app = |option: &str| SyncOptions::read([option].into_iter()).expect_err(option);
        let object = |option: &str| ObjectOptions::read(option).expect_err(option);
        for (said, part) in [
            (
                app("Validate=false"),
                "a server-side apply always validates",
            ),
            (
                app("ServerSideApply=false"),
                "towline always applies server-side",
            ),
            (
                app("RespectIgnoreDifferences=false"),
                "an ignored field is left alone by every apply",
            ),
            (
                app("PrunePropagationPolicy=later"),
                "PrunePropagationPolicy=background|foreground|orphan",
            ),
            (app("Prune=confirm"), "it is for an object"),
            (
                app("PruneLats=true"),
                "`PruneLats=true` is unknown; known are ApplyOutOfSyncOnly=true|false, ",
            ),
            (
                object("CreateNamespace=true"),
                "CreateNamespace is not supported here: it is for an Application",
            ),
            (object("Prune=no"), "supported is Prune=true|false|confirm"),
            (
                object("Prune=false,Prune=confirm"),
                "`Prune` is there twice",
            ),
            (
                object("prune=false"),
                "`prune=false` is unknown; known are Delete=true|false|confirm, ",
            ),
        ] {
            assert!(said.join("; ").contains(part), "{said:?}: {part}");
        }
    }
}
