//! Making one ConfigMap or Secret, and adding it to what is accumulated.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::error::{Error, Reason, Result};
use super::super::fields::{plain_if_text, set_metadata_text, text};
use super::super::load::Loader;
use super::super::resource::{Behavior, Resource, metadata_map, set_metadata_map};
use super::super::resources::Resources;
use super::super::{Generated, Source};
use super::GeneratorArgs;
use super::sources::{Pairs, pairs};
use crate::yaml::{Mapping, Node, Scalar};

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Target {
    ConfigMap,
    Secret,
}

impl Target {
    /// kustomize's name for the generator.
    pub fn plugin(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMapGenerator",
            Self::Secret => "SecretGenerator",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// Makes the object.
///
/// # Errors
/// On a missing name and on sources that are malformed or cannot be read.
pub(in super::super) fn generate(
    loader: &Loader<'_>,
    target: Target,
    args: &GeneratorArgs,
    source: Source,
) -> Result<Resource> {
    if args.name.is_empty() {
        return Err(Error::failed(format!(
            "a generated {} has no name",
            target.kind()
        )));
    }
    let mut object = Mapping::new();
    object.set("apiVersion", Node::plain("v1"));
    object.set("kind", Node::plain(target.kind()));
    set_metadata_text(&mut object, "name", &args.name);
    if !args.namespace.is_empty() {
        set_metadata_text(&mut object, "namespace", &args.namespace);
    }
    let pairs = pairs(loader, &args.name, &args.sources)
        .map_err(|e| e.about(format!("{}/{}", target.kind(), args.name)))?;
    match target {
        Target::ConfigMap => set_config_map_data(&mut object, pairs),
        Target::Secret => {
            let kind = if args.secret_type.is_empty() {
                "Opaque"
            } else {
                &args.secret_type
            };
            object.set("type", plain_if_text(kind));
            set_secret_data(&mut object, pairs);
        }
    }
    let options = &args.options;
    for (field, entries) in [
        ("labels", &options.labels),
        ("annotations", &options.annotations),
    ] {
        if !entries.is_empty() {
            let entries = entries
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            set_metadata_map(&mut object, field, entries);
        }
    }
    if options.immutable {
        object.set("immutable", Node::plain("true"));
    }
    let mut resource = Resource::new(object, source);
    resource.trail.needs_hash = !options.disable_name_suffix_hash;
    resource.trail.behavior = args.behavior;
    resource.trail.annotated = true;
    resource.generated = Some(Generated {
        base_name: args.name.clone(),
    });
    Ok(resource)
}

/// Text goes to `data`, anything else encoded to `binaryData`.
fn set_config_map_data(object: &mut Mapping, pairs: Pairs) {
    for (key, value) in pairs {
        let (field, value) = match String::from_utf8(value) {
            Ok(text) => ("data", text),
            Err(binary) => ("binaryData", encode(binary.as_bytes())),
        };
        let data = object.get_or_insert_with(field, || Mapping::new().into());
        if let Some(data) = data.as_mapping_mut() {
            data.push(plain_if_text(&key), string(value));
        }
    }
}

/// Everything is encoded; an empty Secret has an empty `data`.
fn set_secret_data(object: &mut Mapping, pairs: Pairs) {
    let data: Mapping = pairs
        .into_iter()
        .map(|(key, value)| (Scalar::plain(key), Node::Scalar(string(encode(&value)))))
        .collect();
    object.set("data", data);
}

fn string(value: String) -> Scalar {
    plain_if_text(&value)
}

/// Base64, in lines of 70 characters where it is longer than one.
fn encode(bytes: &[u8]) -> String {
    const LINE: usize = 70;
    let encoded = STANDARD.encode(bytes);
    if encoded.len() < LINE {
        return encoded;
    }
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / LINE + 1);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(LINE.min(rest.len()));
        lines.push_str(line);
        lines.push('\n');
        rest = more;
    }
    lines
}

/// Adds a generated object: as a new one, or to the one that is there.
///
/// # Errors
/// Where `behavior` and what is there do not fit.
pub(in super::super) fn absorb(resources: &mut Resources, mut new: Resource) -> Result<()> {
    let id = new.id();
    let found = resources.with_any_id(&id);
    match (found.as_slice(), new.trail.behavior) {
        ([], Behavior::Create) => resources.append(new),
        ([], _) => Err(Error::new(
            Reason::RenderFailed,
            "there is nothing with this name to merge with or to replace",
        )
        .hint("write `behavior: create`, or check the name and namespace of the other generator")
        .about(id)),
        ([_], Behavior::Create) => Err(Error::failed("there is already an object with this name")
            .hint("write `behavior: merge` or `behavior: replace`")
            .about(id)),
        ([index], behavior) => {
            let old = resources.get(*index);
            take_over(&mut new, old);
            if behavior == Behavior::Merge {
                merge_data(&mut new.object, &old.object, "data");
                merge_data(&mut new.object, &old.object, "binaryData");
            }
            let same = new.all_keys().eq(old.all_keys());
            if same {
                *resources.get_mut_keeping_ids(*index) = new;
            } else {
                resources.put(*index, new);
            }
            Ok(())
        }
        _ => Err(Error::failed("there are several objects of this name to merge with").about(id)),
    }
}

/// The name, namespace and past of the old object stay; labels and annotations are united, and the
/// hash needs both sides to want it.
fn take_over(new: &mut Resource, old: &Resource) {
    for field in ["labels", "annotations"] {
        let old = metadata_map(&old.object, field);
        let entries = united(old, metadata_map(&new.object, field));
        set_metadata_map(&mut new.object, field, entries);
    }
    let needs_hash = new.trail.needs_hash && old.trail.needs_hash;
    let origin = match new.trail.behavior {
        Behavior::Merge => old
            .trail
            .origin
            .clone()
            .or_else(|| new.trail.origin.clone()),
        _ => new.trail.origin.clone(),
    };
    new.trail = old.trail.clone();
    new.trail.needs_hash = needs_hash;
    new.trail.origin = origin;
    new.trail.annotated = true;
    let (name, namespace) = (old.name().to_owned(), old.namespace().to_owned());
    set_metadata_text(&mut new.object, "name", &name);
    if namespace.is_empty() {
        super::super::fields::remove_metadata(&mut new.object, "namespace");
    } else {
        set_metadata_text(&mut new.object, "namespace", &namespace);
    }
    new.generated = old.generated.clone().or(new.generated.take());
}

/// Unites the entries of one field, as strings; those of the new object win.
fn merge_data(new: &mut Mapping, old: &Mapping, field: &str) {
    let texts = |object: &Mapping| -> Vec<(String, String)> {
        let data = object.get(field).and_then(Node::as_mapping);
        let entry = |(k, v): (&str, &Node)| (k.to_owned(), text(v).to_owned());
        data.map(|data| data.iter().map(entry).collect())
            .unwrap_or_default()
    };
    let mut entries = united(texts(old), texts(new));
    new.remove(field);
    if entries.is_empty() {
        return;
    }
    entries.sort();
    let data: Mapping = entries
        .into_iter()
        .map(|(key, value)| (Scalar::plain(key), Node::Scalar(string(value))))
        .collect();
    new.set(field, data);
}

/// Both; of a key in both only the new entry.
fn united(mut old: Vec<(String, String)>, new: Vec<(String, String)>) -> Vec<(String, String)> {
    let keys: HashSet<&str> = new.iter().map(|(key, _)| key.as_str()).collect();
    old.retain(|(key, _)| !keys.contains(key.as_str()));
    old.extend(new);
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_base64_is_broken_into_lines_of_seventy() {
        assert_eq!(encode(&[0; 51]).len(), 68);
        let long = encode(&[0; 54]);
        assert_eq!(long.lines().map(str::len).collect::<Vec<_>>(), [70, 2]);
        assert!(long.ends_with('\n'));
    }
}
