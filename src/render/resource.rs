//! One object during a build, with what has to be remembered of it. kustomize keeps this in
//! annotations of the object; here it is at its side, so that it can never leak.

use crate::object::Gvk;
use crate::yaml::{Mapping, Node};

use super::fields::{metadata_text, set_metadata_text, text};
use super::identity::Identity;
use super::provenance::Origin;
use super::{Generated, Source};

/// One object during a build.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    /// The object.
    pub object: Mapping,
    /// What it went through.
    pub trail: Trail,
    /// Where it was declared.
    pub source: Source,
    /// The name that its generator gave it, where it has one.
    pub generated: Option<Generated>,
    /// Set by a patch that deletes it; dropped at the end of the step.
    pub deleted: bool,
}

/// What an object went through.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Trail {
    /// Earlier names, oldest first.
    pub past: Vec<Past>,
    /// Prefixes that the name got, innermost first.
    pub prefixes: Vec<String>,
    /// Suffixes that the name got, innermost first.
    pub suffixes: Vec<String>,
    /// Whether the name gets a hash of the content.
    pub needs_hash: bool,
    /// What the generator does with an object that is there already.
    pub behavior: Behavior,
    /// Vars that take their value from here.
    pub vars: Vec<String>,
    /// Where it comes from, while `buildMetadata` asks for it.
    pub origin: Option<Origin>,
    /// The transformers it went through, while `buildMetadata` asks for them.
    pub transformations: Vec<Origin>,
    /// Whether kustomize would have written an internal annotation by now. It shows in one place:
    /// JSON patches find `metadata.annotations` then.
    pub annotated: bool,
}

/// An earlier name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Past {
    /// The effective namespace of that time.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The kind.
    pub kind: String,
}

/// What a generator does with an object of its name that is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Behavior {
    /// Also what every unknown word means.
    #[default]
    Create,
    /// Takes its place.
    Replace,
    /// Adds keys to it.
    Merge,
}

impl Behavior {
    /// From the word in a kustomization.
    pub fn from_word(word: &str) -> Self {
        match word {
            "replace" => Self::Replace,
            "merge" => Self::Merge,
            _ => Self::Create,
        }
    }
}

impl Resource {
    /// An object that was just read or made.
    pub fn new(object: Mapping, source: Source) -> Self {
        let trail = Trail::default();
        Self {
            object,
            trail,
            source,
            generated: None,
            deleted: false,
        }
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> Gvk {
        gvk(&self.object)
    }

    /// The kind.
    pub fn kind(&self) -> &str {
        self.object.get("kind").map_or("", text)
    }

    /// The present name.
    pub fn name(&self) -> &str {
        metadata_text(&self.object, "name")
    }

    /// The present namespace, empty where none is written.
    pub fn namespace(&self) -> &str {
        metadata_text(&self.object, "namespace")
    }

    /// Sets the name.
    pub fn set_name(&mut self, name: &str) {
        set_metadata_text(&mut self.object, "name", name);
    }

    /// The present identity.
    pub fn id(&self) -> Identity {
        Identity::new(self.gvk(), self.namespace(), self.name())
    }

    /// Earlier identities, oldest first. The apiVersion is the present one.
    pub fn past_ids(&self) -> Vec<Identity> {
        if self.trail.past.is_empty() {
            return Vec::new();
        }
        let now = self.gvk();
        let past = |past: &Past| {
            let gvk = Gvk {
                kind: past.kind.clone(),
                ..now.clone()
            };
            Identity::past(gvk, &past.namespace, &past.name)
        };
        self.trail.past.iter().map(past).collect()
    }

    /// The first identity.
    pub fn original_id(&self) -> Identity {
        self.past_ids()
            .into_iter()
            .next()
            .unwrap_or_else(|| self.id())
    }

    /// Earlier identities and the present one.
    pub fn all_ids(&self) -> Vec<Identity> {
        let mut ids = self.past_ids();
        ids.push(self.id());
        ids
    }

    /// Earlier names and the present one.
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        self.trail
            .past
            .iter()
            .map(|past| past.name.as_str())
            .chain([self.name()])
    }

    /// Remembers the present identity, which is about to change.
    pub fn remember_id(&mut self) {
        let id = self.id();
        self.trail.past.push(Past {
            namespace: id.effective_namespace().to_owned(),
            name: id.name,
            kind: id.gvk.kind,
        });
        self.trail.annotated = true;
    }

    /// A label or annotation, as text.
    pub fn metadata_entry(&self, field: &str, key: &str) -> Option<String> {
        let value = self.object.get("metadata")?.get(field)?.get(key)?;
        Some(raw_text(value).to_owned())
    }

    /// Labels or annotations as texts, as kustomize reads them: null is its own text.
    pub fn metadata_map(&self, field: &str) -> Vec<(String, String)> {
        metadata_map(&self.object, field)
    }
}

/// Group, version and kind of an object.
pub(super) fn gvk(object: &Mapping) -> Gvk {
    let field = |key| object.get(key).map_or("", text);
    Gvk::from_api_version(field("apiVersion"), field("kind"))
}

/// Labels or annotations as texts, in their order.
pub(super) fn metadata_map(object: &Mapping, field: &str) -> Vec<(String, String)> {
    let map = object
        .get("metadata")
        .and_then(|m| m.get(field))
        .and_then(Node::as_mapping);
    map.map(|map| {
        map.iter()
            .map(|(k, v)| (k.to_owned(), raw_text(v).to_owned()))
            .collect()
    })
    .unwrap_or_default()
}

/// Sets labels or annotations to strings, sorted; an empty set removes the field.
pub(super) fn set_metadata_map(
    object: &mut Mapping,
    field: &str,
    mut entries: Vec<(String, String)>,
) {
    let metadata = object.get_or_insert_with("metadata", || Mapping::new().into());
    let Some(metadata) = metadata.as_mapping_mut() else {
        return;
    };
    metadata.remove(field);
    if entries.is_empty() {
        return;
    }
    entries.sort();
    let mut map = Mapping::new();
    for (key, value) in entries {
        super::fields::set_string(&mut map, &key, &value);
    }
    metadata.set(field, map);
}

/// The text of a scalar whatever it means.
fn raw_text(node: &Node) -> &str {
    node.as_scalar().map_or("", |s| s.text.as_str())
}
