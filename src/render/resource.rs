//! One object during a build, with what has to be remembered of it. kustomize keeps this in
//! annotations of the object; here it is at its side, so that it can never leak.

use std::sync::Arc;

use thin_vec::ThinVec;

use crate::object::Gvk;
use crate::yaml::{Mapping, Node, Text};

use super::error::{Error, Result};
use super::fields::{metadata_text, set_metadata_text, text};
use super::identity::{Identity, Key, KindRef, effective_namespace};
use super::provenance::Origin;
use super::scope::is_cluster_scoped;
use super::{Generated, Source, origin};

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

/// What an object went through. Most of it is empty most of the time, and takes little room then.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Trail {
    /// Earlier names, oldest first.
    pub past: ThinVec<Past>,
    /// Prefixes that the name got, innermost first.
    pub prefixes: ThinVec<Text>,
    /// Suffixes that the name got, innermost first.
    pub suffixes: ThinVec<Text>,
    /// Whether the name gets a hash of the content.
    pub needs_hash: bool,
    /// What the generator does with an object that is there already.
    pub behavior: Behavior,
    /// Vars that take their value from here.
    pub vars: ThinVec<String>,
    /// Where it comes from, while `buildMetadata` asks for it.
    pub origin: Option<Arc<Origin>>,
    /// The transformers it went through, while `buildMetadata` asks for them.
    pub transformations: ThinVec<Arc<Origin>>,
    /// Who set each field, while somebody asks for it.
    pub fields: Option<Box<origin::Fields>>,
    /// Whether kustomize would have written an internal annotation by now. It shows in one place:
    /// JSON patches find `metadata.annotations` then.
    pub annotated: bool,
}

/// An earlier name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Past {
    /// The effective namespace of that time.
    pub namespace: Text,
    /// The name.
    pub name: Text,
    /// The kind.
    pub kind: Text,
}

impl Past {
    /// The kind of that time, with the group and version of now.
    pub fn kind_ref<'a>(&'a self, now: KindRef<'a>) -> KindRef<'a> {
        let kind = self.kind.as_str();
        KindRef { kind, ..now }
    }

    /// The namespace that counted, `default` where none was.
    fn effective_namespace(&self) -> &str {
        effective_namespace(false, &self.namespace)
    }
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

    /// Group, version and kind, as they stand in the object.
    pub fn kind_ref(&self) -> KindRef<'_> {
        kind_ref(&self.object)
    }

    /// The first kind; the apiVersion is the present one.
    pub fn original_kind_ref(&self) -> KindRef<'_> {
        let now = self.kind_ref();
        let first = self.trail.past.first();
        first.map_or(now, |past| past.kind_ref(now))
    }

    /// The namespace that counts.
    pub fn effective_namespace(&self) -> &str {
        effective_namespace(is_cluster_scoped(self.kind_ref()), self.namespace())
    }

    /// The first name.
    pub fn original_name(&self) -> &str {
        let first = self.trail.past.first();
        first.map_or_else(|| self.name(), |past| past.name.as_str())
    }

    /// The namespace that counted first.
    pub fn original_namespace(&self) -> &str {
        let first = self.trail.past.first();
        first.map_or_else(
            || self.effective_namespace(),
            |past| past.effective_namespace(),
        )
    }

    /// The present identity, for indexes.
    pub fn key(&self) -> Key<'_> {
        let kind = self.kind_ref();
        Key {
            kind,
            namespace: effective_namespace(is_cluster_scoped(kind), self.namespace()),
            name: self.name(),
        }
    }

    /// Earlier identities and the present one, for indexes.
    pub fn all_keys(&self) -> impl Iterator<Item = Key<'_>> {
        let now = self.kind_ref();
        let past = self.trail.past.iter().map(move |past| Key {
            kind: past.kind_ref(now),
            namespace: past.effective_namespace(),
            name: &past.name,
        });
        past.chain([self.key()])
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
        id(&self.object)
    }

    /// Earlier identities, oldest first. The apiVersion is the present one.
    pub fn past_ids(&self) -> Vec<Identity> {
        if self.trail.past.is_empty() {
            return Vec::new();
        }
        let now = self.gvk();
        let past = |past: &Past| {
            let gvk = Gvk::new(&now.group, &now.version, past.kind.as_str());
            Identity::past(gvk, &past.namespace, &past.name)
        };
        self.trail.past.iter().map(past).collect()
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

    /// Whether it still is an object: with a kind, and a name, which only lists need not have.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check_named(&self) -> Result<()> {
        let missing = match (self.kind(), self.name()) {
            ("", _) => "kind",
            (kind, "") if !kind.ends_with("List") => "metadata.name",
            _ => return Ok(()),
        };
        Err(Error::failed(format!(
            "a change leaves the object without `{missing}`"
        )))
    }

    /// An error with this object in it, and the place where the object was declared. A limit of the
    /// whole render is no object's.
    pub fn blame(&self, error: Error) -> Error {
        if error.is_of_all() {
            return error;
        }
        error
            .about(self.id())
            .on_line(self.source.line.unwrap_or(0))
            .within(&self.source.path)
    }

    /// Remembers the present identity, which is about to change.
    pub fn remember_id(&mut self) {
        let past = Past {
            namespace: self.effective_namespace().into(),
            name: self.name().into(),
            kind: self.kind().into(),
        };
        // Few are to come: the usual growth would take several times the memory.
        self.trail.past.reserve_exact(1);
        self.trail.past.push(past);
        self.trail.annotated = true;
        // kustomize writes it into the annotations, all of which are set anew
        let metadata = self.object.get_mut("metadata");
        if let Some(annotations) = metadata.and_then(|m| m.get_mut("annotations")) {
            super::sharing::unshare(annotations);
        }
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

/// The present identity of an object.
pub(super) fn id(object: &Mapping) -> Identity {
    let text = |field| metadata_text(object, field);
    Identity::new(gvk(object), text("namespace"), text("name"))
}

/// Group, version and kind of an object.
pub(super) fn gvk(object: &Mapping) -> Gvk {
    kind_ref(object).to_gvk()
}

/// Group, version and kind, as they stand in an object.
pub(super) fn kind_ref(object: &Mapping) -> KindRef<'_> {
    let field = |key| object.get(key).map_or("", text);
    KindRef::new(field("apiVersion"), field("kind"))
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
