//! Hooks: objects that run at a moment of a sync instead of being kept, by Argo CD's rules.
//!
//! The annotations of charts (`helm.sh/hook`) are read as Argo CD reads them, because what
//! `helm template` prints carries them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{DesiredObject, at};
use crate::error::{Diagnostic, Diagnostics};
use crate::inventory::Phase;
use crate::object::{Object, keys};
use crate::render::RenderedObject;

/// How long a newer revision waits for a hook that says nothing itself (`activeDeadlineSeconds`),
/// in seconds.
const DEFAULT_BOUND: i64 = 3600;
/// The longest prefix of a generated name: with ten hex digits it still fits a label value.
const LONGEST_PREFIX: usize = 52;

/// When a hook's object is deleted. One that is in the way of the next run always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeletePolicy {
    /// Before the next one is created: the default, so that the last one can be looked at.
    BeforeHookCreation,
    /// When it succeeded.
    HookSucceeded,
    /// When it failed.
    HookFailed,
}

/// One hook.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// Its object.
    pub object: Arc<DesiredObject>,
    /// When it runs.
    pub phases: BTreeSet<Phase>,
    /// When its object is deleted.
    pub delete: BTreeSet<DeletePolicy>,
    /// The prefix of its name, where that is made anew for each revision.
    pub prefix: Option<String>,
    /// How long a newer revision waits for it, in seconds.
    pub bound: i64,
}

/// What an object's annotations say about hooks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Declared {
    pub(super) phases: BTreeSet<Phase>,
    delete: BTreeSet<DeletePolicy>,
    /// `Skip`: not applied at all.
    pub(super) skip: bool,
    /// Helm's order, where nothing says the wave.
    pub(super) weight: Option<i32>,
}

impl Declared {
    /// Whether the object can be a hook: one whose end is waited for must be able to end.
    pub(super) fn check(&self, one: &RenderedObject, mistakes: &mut Diagnostics) {
        let object = Object(one.value.clone());
        let policy = object.0.pointer("/spec/restartPolicy");
        let ends = policy
            .and_then(Value::as_str)
            .is_some_and(|p| p != "Always");
        if !self.skip && object.kind() == "Pod" && !ends {
            mistakes.push(
                at(one, "a Pod that is always restarted never ends")
                    .about(object.id())
                    .hint("set `restartPolicy: Never`, or make the hook a Job"),
            );
        }
    }

    /// The hook that `object` is.
    pub(super) fn hook(self, object: DesiredObject, body: &Object, prefix: Option<String>) -> Hook {
        let deadline = body.0.pointer("/spec/activeDeadlineSeconds");
        Hook {
            bound: deadline.and_then(Value::as_i64).unwrap_or(DEFAULT_BOUND),
            object: Arc::new(object),
            phases: self.phases,
            delete: self.delete,
            prefix,
        }
    }
}

/// What the annotations say; `None` for an ordinary object. What does not parse is collected.
pub(super) fn read(
    one: &RenderedObject,
    notes: &mut Vec<Diagnostic>,
    mistakes: &mut Diagnostics,
) -> Option<Declared> {
    let object = Object(one.value.clone());
    let mut declared = None;
    for key in [keys::HOOK, keys::ARGO_HOOK] {
        if let Some(text) = object.annotation(key) {
            declared = Some(types(key, text, &object, one, mistakes));
            break;
        }
    }
    if declared.is_none() {
        declared = chart_hook(&object, one, notes, mistakes);
    }
    if let Some(declared) = &declared {
        declared.check(one, mistakes);
    }
    let policies = [
        keys::HOOK_DELETE_POLICY,
        keys::ARGO_HOOK_DELETE_POLICY,
        keys::HELM_HOOK_DELETE_POLICY,
    ];
    let found = policies
        .into_iter()
        .find_map(|key| Some((key, object.annotation(key)?)));
    match (&mut declared, found) {
        (Some(declared), Some((key, text))) => {
            declared.delete = delete_policies(key, text, &object, one, mistakes);
        }
        (None, Some((key, _))) if key != keys::HELM_HOOK_DELETE_POLICY => mistakes.push(
            at(one, format!("`{key}` is on an object that is no hook"))
                .about(object.id())
                .hint(format!("add `{}`, or take it away", keys::HOOK)),
        ),
        _ => {}
    }
    declared
}

/// The hook types of towline and Argo CD.
fn types(
    key: &str,
    text: &str,
    object: &Object,
    one: &RenderedObject,
    mistakes: &mut Diagnostics,
) -> Declared {
    let mut declared = Declared::default();
    for word in words(text) {
        match (Phase::parse(word), word) {
            (Some(phase), _) => {
                declared.phases.insert(phase);
            }
            (None, "Skip") => declared.skip = true,
            (None, "PreDelete" | "PostDelete") => mistakes.push(
                at(one, format!("`{key}: {word}` is not supported yet"))
                    .about(object.id())
                    .hint("hooks run when something is synced; clean up by hand when the Application is deleted"),
            ),
            (None, _) => mistakes.push(
                at(one, format!("`{key}: {word}` is no hook"))
                    .about(object.id())
                    .hint("hooks are PreSync, Sync, PostSync, SyncFail and Skip"),
            ),
        }
    }
    if declared.phases.is_empty() && words(text).next().is_none() {
        mistakes.push(at(one, format!("`{key}` is empty")).about(object.id()));
    }
    declared
}

/// What Helm calls a hook, as Argo CD maps it: installing and upgrading are both a sync. Tests are
/// for people, and there is no rollback or deletion of a release here.
fn chart_hook(
    object: &Object,
    one: &RenderedObject,
    notes: &mut Vec<Diagnostic>,
    mistakes: &mut Diagnostics,
) -> Option<Declared> {
    let text = object.annotation(keys::HELM_HOOK)?;
    let mut declared = Declared::default();
    for word in words(text) {
        match word {
            // How charts of old declared their CRDs: ordinary objects.
            "crd-install" => return None,
            "pre-install" | "pre-upgrade" => {
                declared.phases.insert(Phase::PreSync);
            }
            "post-install" | "post-upgrade" => {
                declared.phases.insert(Phase::PostSync);
            }
            "test" | "test-success" | "test-failure" => {}
            "pre-delete" | "post-delete" | "pre-rollback" | "post-rollback" => notes.push(
                Diagnostic::new("", format!("`{}: {word}` is never run", keys::HELM_HOOK))
                    .about(object.id()),
            ),
            _ => mistakes.push(
                at(one, format!("`{}: {word}` is no hook", keys::HELM_HOOK)).about(object.id()),
            ),
        }
    }
    declared.skip = declared.phases.is_empty();
    if let Some(weight) = object.annotation(keys::HELM_HOOK_WEIGHT) {
        declared.weight = weight.trim().parse().ok();
        if declared.weight.is_none() {
            mistakes.push(
                at(
                    one,
                    format!(
                        "`{}: {weight}` is not a whole number",
                        keys::HELM_HOOK_WEIGHT
                    ),
                )
                .about(object.id()),
            );
        }
    }
    Some(declared)
}

fn delete_policies(
    key: &str,
    text: &str,
    object: &Object,
    one: &RenderedObject,
    mistakes: &mut Diagnostics,
) -> BTreeSet<DeletePolicy> {
    let mut policies = BTreeSet::new();
    for word in words(text) {
        policies.insert(match word {
            "BeforeHookCreation" | "before-hook-creation" => DeletePolicy::BeforeHookCreation,
            "HookSucceeded" | "hook-succeeded" => DeletePolicy::HookSucceeded,
            "HookFailed" | "hook-failed" => DeletePolicy::HookFailed,
            _ => {
                mistakes.push(
                    at(one, format!("`{key}: {word}` is no delete policy"))
                        .about(object.id())
                        .hint("they are BeforeHookCreation, HookSucceeded and HookFailed"),
                );
                continue;
            }
        });
    }
    policies
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

/// A hook with `generateName` gets a name: the prefix and ten hex digits of the revision and of its
/// own content, so that the same revision always means the same object. Returns the prefix too.
pub(super) fn named<'a>(
    one: &'a RenderedObject,
    digest: &str,
) -> (Cow<'a, RenderedObject>, Option<String>) {
    let text = |field| one.value.pointer(field).and_then(Value::as_str);
    let has_name = text("/metadata/name").is_some_and(|name| !name.is_empty());
    let Some(prefix) = text("/metadata/generateName").filter(|prefix| !prefix.is_empty()) else {
        return (Cow::Borrowed(one), None);
    };
    let mut named = one.clone();
    let metadata = named.value["metadata"].as_object_mut();
    let metadata = metadata.expect("generateName was found in it");
    metadata.remove("generateName");
    if has_name {
        return (Cow::Owned(named), None);
    }
    let own = Sha256::digest(format!("{digest}\n{}", one.value));
    let short: String = prefix.chars().take(LONGEST_PREFIX).collect();
    let name = format!("{short}{}", hex::encode(&own[..5]));
    metadata.insert("name".into(), name.into());
    (Cow::Owned(named), Some(prefix.to_owned()))
}

#[cfg(test)]
mod tests;
