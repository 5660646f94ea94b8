//! What the cluster should hold: rendered objects made ready to apply.
//!
//! Scope and namespace are filled in, server fields are taken out, ownership marks are put in,
//! waves are read. Every mistake is collected with its place; one mistake refuses the revision,
//! so that the last good one stays enforced.

mod barrier;
mod crds;
mod defaults;
mod hooks;
mod ignore;
mod installation;
pub mod normalize;
mod record;
mod restored;
mod reuse;
mod switches;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use barrier::Barrier;
pub use defaults::{Defaults, Recreation};
pub use hooks::{DeletePolicy, Hook};
pub use ignore::scaled_by;
pub use installation::Installation;
pub use restored::restore;

use reuse::Earlier;

use crate::api::{IgnoreRule, ObjectOptions};
use crate::cluster::{Discovery, Lookup, Resource};
use crate::error::{Diagnostic, Diagnostics};
use crate::inventory::{Owner, Phase};
use crate::live::Ignore;
use crate::object::{Gvk, Manifest, Object, ObjectId, Scope, keys};
use crate::parallel;
use crate::render::RenderedObject;

/// One object as the cluster should hold it.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredObject {
    /// Its identity in the cluster.
    pub id: ObjectId,
    /// Its kind at the version of the manifest.
    pub gvk: Gvk,
    /// How the API server serves it, or why it has to wait.
    pub placement: Placement,
    /// The object with all marks but the revision, which is put in when it is written.
    pub manifest: Manifest,
    /// Its content without marks and without what is ignored; see [`content_hash`].
    pub hash: u64,
    /// What of it is left to others once it is there.
    pub ignore: Ignore,
    /// Lower waves first.
    pub wave: i32,
    /// The order inside a wave.
    pub barrier: Barrier,
    /// What becomes of it when it, or its Application, is removed.
    pub options: ObjectOptions,
    /// It is written whole, not applied.
    pub replaces: bool,
    /// When it is created anew, because a field cannot be changed in place.
    pub recreation: Recreation,
    /// `reconcile: disabled`: neither applied nor healed nor pruned.
    pub ignored: bool,
    /// Its place in the repository, as `path` or `path:line`.
    pub place: String,
    /// The base name of a generated ConfigMap or Secret.
    pub generated: Option<String>,
    /// For a StatefulSet: whether it has claims, which hold data.
    pub claims: Option<bool>,
    /// What it was made from; `None` where that has to be looked at each time.
    pub rendered: Option<RenderedHash>,
}

/// sha256 of an object as it was rendered.
pub type RenderedHash = [u8; 32];

/// How the API server serves an object's kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Placement {
    /// As this resource.
    Served(Resource),
    /// Not yet: its CRD is in the same revision.
    AwaitsCrd,
    /// Not at all: no CRD, here or there.
    NotServed,
    /// The API server could not say: the group's own server does not answer.
    Unknown,
}

impl DesiredObject {
    /// The object with all marks but the revision; made anew from its text with every call.
    pub fn object(&self) -> Object {
        self.manifest.object()
    }

    /// The resource, where the kind is served.
    pub fn resource(&self) -> Option<&Resource> {
        match &self.placement {
            Placement::Served(resource) => Some(resource),
            _ => None,
        }
    }
}

/// All objects of one revision, by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// The objects. Shared, because the accepted revision and the newest one have most in common.
    pub objects: BTreeMap<ObjectId, Arc<DesiredObject>>,
    /// What runs at a moment of the sync and is not kept: neither healed nor pruned.
    pub hooks: BTreeMap<ObjectId, Hook>,
    /// Identity of the revision for this Application: sha256 over all rendered objects, in hex,
    /// whatever the API server serves. Two commits with the same digest are the same revision.
    pub digest: String,
    /// What normalisation took out that a person wrote.
    pub notes: Vec<Diagnostic>,
    /// What other objects of the revision have to do with each of them.
    pub around: Around,
}

/// What objects of a revision mean for others of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Around {
    crds: BTreeMap<(String, String), Scope>,
    scaled: ignore::Scaled,
}

impl Desired {
    /// The first 8 bytes of the digest, for records. 0 for what has none.
    pub fn short_digest(&self) -> u64 {
        short_digest(&self.digest)
    }

    /// Objects whose kind is not served, so that neither their scope nor their absence is known.
    pub fn waiting(&self) -> impl Iterator<Item = &DesiredObject> {
        self.objects
            .values()
            .chain(self.hooks.values().map(|hook| &hook.object))
            .map(Arc::as_ref)
            .filter(|o| o.resource().is_none() && !o.ignored)
    }
}

/// The first 16 hex digits of a [`Desired::digest`], as inventories keep them.
pub fn short_digest(digest: &str) -> u64 {
    let digits = digest.get(..16).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default()
}

/// Makes rendered objects ready to apply. `defaults` are for objects that do not say otherwise.
///
/// # Errors
/// Every object that cannot be applied, with its place.
pub fn build(
    rendered: &[RenderedObject],
    discovery: &Discovery,
    owner: &Owner,
    defaults: impl Into<Defaults>,
) -> Result<Desired, Diagnostics> {
    build_after(None, rendered, discovery, owner, defaults, 1)
}

/// The same by so many `threads`, after an `earlier` revision of the same owner, made with the same
/// discovery and defaults: objects that were rendered the same are taken from there.
///
/// # Errors
/// As [`build`].
pub fn build_after(
    earlier: Option<&Desired>,
    rendered: &[RenderedObject],
    discovery: &Discovery,
    owner: &Owner,
    defaults: impl Into<Defaults>,
    threads: usize,
) -> Result<Desired, Diagnostics> {
    let defaults = defaults.into();
    let around = Around {
        crds: crds::declared(rendered),
        scaled: ignore::Scaled::by(rendered, &defaults.namespace),
    };
    let hashes = parallel::map(rendered.iter().collect(), threads, rendered_hash);
    let earlier = Earlier::of(earlier.filter(|earlier| earlier.around == around));
    let mut desired = Desired {
        digest: digest_of(hashes.clone(), &defaults.namespace),
        ..Desired::default()
    };
    let mut mistakes = Diagnostics::default();
    let mut first = First(HashMap::with_capacity(rendered.len()));
    // Nearly in order, so that the map is made of them at once at the end.
    let mut objects = Vec::with_capacity(rendered.len());
    for (one, hash) in rendered.iter().zip(hashes) {
        if let Some(known) = earlier.find(&hash, one) {
            if first.is(known, one, &mut mistakes) {
                objects.push((known.id.clone(), Arc::clone(known)));
            }
            continue;
        }
        let whole = one;
        let found = mistakes.0.len();
        let noted = desired.notes.len();
        let hook = hooks::read(one, &mut desired.notes, &mut mistakes);
        let (one, prefix) = match &hook {
            Some(_) => hooks::named(one, &desired.digest),
            None => (Cow::Borrowed(one), None),
        };
        let one = one.as_ref();
        let object = desired_object(
            one,
            discovery,
            &around.crds,
            &defaults,
            &mut desired.notes,
            &mut mistakes,
        );
        for note in &mut desired.notes[noted..] {
            note.path.clone_from(&one.source.path);
            note.line = one.source.line;
        }
        let Some((mut object, mut body)) = object else {
            continue;
        };
        leave(
            &mut object,
            &body,
            one,
            &defaults.ignore,
            &around.scaled,
            &mut mistakes,
        );
        if !first.is(&object, whole, &mut mistakes) || mistakes.0.len() > found {
            continue;
        }
        if let Some(hook) = &hook
            && hook.phases.contains(&Phase::PreSync)
            && object.placement == Placement::AwaitsCrd
        {
            mistakes.push(
                at(
                    one,
                    "a PreSync hook cannot wait for a CRD of its own revision",
                )
                .about(&object.id)
                .hint("commit the CRD first, or make it a Sync hook"),
            );
            continue;
        }
        mark(&object, &mut body, owner);
        object.manifest = Manifest::of(&body);
        let is_told = desired.notes.len() > noted;
        object.rendered = (hook.is_none() && !is_told).then_some(hash);
        let id = object.id.clone();
        match hook {
            Some(hook) if !hook.skip => {
                if let (0, Some(weight)) = (object.wave, hook.weight) {
                    object.wave = weight;
                }
                desired.hooks.insert(id, hook.hook(object, &body, prefix));
            }
            skipped => {
                object.ignored |= skipped.is_some();
                objects.push((id, Arc::new(object)));
            }
        }
    }
    desired.objects = objects.into_iter().collect();
    desired.around = around;
    mistakes.into_result(desired)
}

/// The first object of each id.
struct First<'a>(HashMap<ObjectId, &'a RenderedObject>);

impl<'a> First<'a> {
    /// Whether an object is the first of its id; a second one is a mistake.
    fn is(
        &mut self,
        object: &DesiredObject,
        one: &'a RenderedObject,
        mistakes: &mut Diagnostics,
    ) -> bool {
        match self.0.entry(object.id.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(one);
                true
            }
            Entry::Occupied(first) => {
                let place = place_of(first.get());
                mistakes.push(
                    at(one, "the object is declared twice")
                        .about(&object.id)
                        .hint(format!("the other one is in {place}")),
                );
                false
            }
        }
    }
}

/// A diagnostic at an object's place in the repository.
fn at(one: &RenderedObject, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(one.source.path.as_str(), message).at(one.source.line)
}

/// Reads what is left to others in the object, and hashes the rest of it.
fn leave(
    object: &mut DesiredObject,
    body: &Object,
    one: &RenderedObject,
    rules: &[IgnoreRule],
    scaled: &ignore::Scaled,
    mistakes: &mut Diagnostics,
) {
    // Replace mode keeps the replicas of an autoscaler by itself.
    let none = ignore::Scaled::default();
    let scaled = if object.replaces { &none } else { scaled };
    object.ignore = ignore::read(body, one, rules, scaled, mistakes);
    if object.replaces && !object.ignore.is_empty() {
        mistakes.push(
            at(one, "an object that is written whole can leave nothing to others")
                .about(&object.id)
                .hint("take away `Replace=true`, or the rule in spec.ignoreDifferences or towline.dev/ignore-fields"),
        );
    }
    object.hash = if object.ignore.is_empty() {
        content_hash(body)
    } else {
        content_hash(&Object(object.ignore.without(&body.0)))
    };
}

/// An object without its marks: its text is made when they are in.
fn desired_object(
    one: &RenderedObject,
    discovery: &Discovery,
    crds: &BTreeMap<(String, String), Scope>,
    defaults: &Defaults,
    notes: &mut Vec<Diagnostic>,
    mistakes: &mut Diagnostics,
) -> Option<(DesiredObject, Object)> {
    let mut object = Object(one.value.clone());
    let mut gvk = object.gvk();
    if gvk.kind.is_empty() || gvk.version.is_empty() || object.name().is_empty() {
        let missing = if object.name().is_empty() {
            "metadata.name"
        } else {
            "apiVersion and kind"
        };
        let hint = if object.0.pointer("/metadata/generateName").is_some() {
            "generateName is for hooks: what has no name cannot be kept equal to Git"
        } else {
            "every object needs apiVersion, kind and metadata.name"
        };
        mistakes.push(at(one, format!("{missing} is missing")).hint(hint));
        return None;
    }
    normalize::normalize(&mut object.0, notes);
    let declared = crds.get(&(gvk.group.clone(), gvk.kind.clone()));
    let placement = match discovery.lookup(&gvk) {
        Lookup::Served(resource) => {
            // One in memory for all objects of the kind.
            gvk.clone_from(&resource.gvk);
            Placement::Served(resource.clone())
        }
        Lookup::Unknown => Placement::Unknown,
        Lookup::NotServed if declared.is_some() => Placement::AwaitsCrd,
        Lookup::NotServed => Placement::NotServed,
    };
    if matches!(&placement, Placement::Served(resource) if resource.has_status) {
        // Behind a subresource an applied status has no effect, and would read as drift for ever.
        normalize::strip_status(&mut object.0);
    }
    let scope = match &placement {
        Placement::Served(resource) => Some(resource.scope),
        _ => declared.copied(),
    };
    place(&mut object, scope, &defaults.namespace, one, mistakes);
    let id = object.id();
    let switches = switches::read(&object, one, mistakes);
    let replaces = defaults.replaces(&switches.options);
    let found = mistakes.0.len();
    normalize::mistakes(&object.0, replaces, &mut mistakes.0);
    for mistake in &mut mistakes.0[found..] {
        mistake.path.clone_from(&one.source.path);
        mistake.line = one.source.line;
    }
    let desired = DesiredObject {
        barrier: Barrier::of(&gvk),
        id,
        placement,
        hash: 0,
        ignore: Ignore::default(),
        wave: switches.wave,
        replaces,
        recreation: defaults.recreation(&gvk, &switches.options),
        options: switches.options,
        gvk,
        ignored: switches.ignored,
        place: place_of(one),
        generated: one.generated.as_ref().map(|g| g.base_name.clone()),
        claims: record::claims(&object),
        manifest: Manifest::default(),
        rendered: None,
    };
    Some((desired, object))
}

/// Fills in the namespace where the kind has one and the manifest names none; takes it out of an
/// object of cluster scope, as kubectl does not but the API server would refuse.
fn place(
    object: &mut Object,
    scope: Option<Scope>,
    namespace: &str,
    one: &RenderedObject,
    mistakes: &mut Diagnostics,
) {
    let id = object.id();
    let Some(metadata) = object.0.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    match scope {
        Some(Scope::Cluster) => {
            metadata.remove("namespace");
        }
        Some(Scope::Namespaced) if id.namespace.is_empty() => {
            if namespace.is_empty() {
                mistakes.push(at(one, "no namespace").about(&id).hint(
                    "set metadata.namespace, `namespace:` in the kustomization, or spec.destination.namespace",
                ));
            }
            metadata.insert("namespace".into(), namespace.into());
        }
        // A kind that is not served: its scope is not known, and nothing is done with it yet.
        Some(Scope::Namespaced) | None => {}
    }
}

/// The first 8 bytes of the sha256 of an object's JSON (keys sorted) without towline's marks.
/// Stored in inventories: changing it makes every agent compare every object anew.
pub fn content_hash(object: &Object) -> u64 {
    let digest = Sha256::digest(object.0.to_string());
    u64::from_be_bytes(digest[..8].try_into().expect("a sha256 has 32 bytes"))
}

/// The place of an object in the repository.
fn place_of(one: &RenderedObject) -> String {
    match one.source.line {
        Some(line) => format!("{}:{line}", one.source.path),
        None => one.source.path.clone(),
    }
}

/// Whether that is the place of an object.
fn is_place_of(one: &RenderedObject, place: &str) -> bool {
    let line = place.strip_prefix(&one.source.path);
    match (one.source.line, line.map(|line| line.strip_prefix(':'))) {
        (Some(line), Some(Some(found))) => {
            !found.starts_with(['0', '+']) && found.parse() == Ok(line)
        }
        (None, Some(_)) => place.len() == one.source.path.len(),
        _ => false,
    }
}

/// From what Git says alone: an API server that comes to serve a kind makes no new revision. The
/// order of files does not count.
pub(crate) fn digest(rendered: &[RenderedObject], namespace: &str) -> String {
    digest_of(rendered.iter().map(rendered_hash).collect(), namespace)
}

fn rendered_hash(one: &RenderedObject) -> RenderedHash {
    Sha256::digest(one.value.to_string()).into()
}

fn digest_of(mut objects: Vec<RenderedHash>, namespace: &str) -> String {
    objects.sort_unstable();
    let mut sha = Sha256::new();
    sha.update(namespace);
    for object in objects {
        sha.update([0]);
        sha.update(object);
    }
    hex::encode(sha.finalize())
}

/// Puts the marks in: in `metadata` only, never in a template or selector.
fn mark(desired: &DesiredObject, body: &mut Object, owner: &Owner) {
    let path = desired.place.split(':').next().unwrap_or_default();
    body.set_label(keys::APPLICATION_LABEL, owner.key());
    body.set_annotation(keys::TRACKING_ID, owner.tracking_id(&desired.id));
    body.set_annotation(keys::SOURCE, path);
}

#[cfg(test)]
mod tests;
