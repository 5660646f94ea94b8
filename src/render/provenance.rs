//! `buildMetadata`: where an object comes from and what it went through, as annotations.

use std::sync::Arc;

use super::resource::Resource;
use super::resources::Resources;
use crate::yaml::{Mapping, Node};

/// The annotation with the origin.
pub(super) const ORIGIN: &str = "config.kubernetes.io/origin";
/// The annotation with the transformers.
pub(super) const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// Where an object or a transformer comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The file, relative to the directory that is built.
    pub path: String,
    /// The file that configures the generator or transformer.
    pub configured_in: String,
    /// The generator or transformer.
    pub configured_by: Option<Plugin>,
}

/// The identity of a generator or transformer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plugin {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

impl Origin {
    /// A file at `path`, as written in a kustomization that was reached by `base`.
    pub fn file(base: &str, path: &str) -> Self {
        Self {
            path: join(base, path),
            ..Self::default()
        }
    }

    /// A field of a kustomization.
    pub fn field(file: String, kind: &str) -> Self {
        let plugin = Plugin {
            api_version: "builtin".into(),
            kind: kind.into(),
            ..Plugin::default()
        };
        Self {
            configured_in: file,
            configured_by: Some(plugin),
            ..Self::default()
        }
    }

    /// The annotation's text: YAML in the order of kustomize's own struct.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for (key, value) in [("path", &self.path), ("configuredIn", &self.configured_in)] {
            if !value.is_empty() {
                lines.push(format!("{key}: {}", scalar(value)));
            }
        }
        if let Some(plugin) = &self.configured_by {
            lines.push("configuredBy:".into());
            let fields = [
                ("apiVersion", &plugin.api_version),
                ("kind", &plugin.kind),
                ("name", &plugin.name),
                ("namespace", &plugin.namespace),
            ];
            for (key, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
                lines.push(format!("  {key}: {}", scalar(value)));
            }
        }
        if lines.is_empty() {
            return "{}\n".into();
        }
        lines.join("\n") + "\n"
    }
}

/// A text as YAML prints it inside of a mapping.
fn scalar(text: &str) -> String {
    let value = serde_json::json!({ "k": text });
    let printed = crate::yaml::to_string(&value);
    printed
        .strip_prefix("k: ")
        .unwrap_or(&printed)
        .trim_end()
        .to_owned()
}

/// Two relative paths, cleaned as Go's `filepath.Join` does: `..` may stay in front.
pub(super) fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// After a transformer: objects without origin were made by it, all others went through it.
pub(super) fn record(resources: &mut Resources, transformer: &Arc<Origin>) {
    for resource in resources.iter_mut_keeping_ids() {
        resource.trail.annotated = true;
        match &resource.trail.origin {
            None => resource.trail.origin = Some(transformer.clone()),
            Some(_) => resource.trail.transformations.push(transformer.clone()),
        }
    }
}

/// Writes the annotations that were asked for; those of the input go.
pub(super) fn annotate(resource: &mut Resource, origins: bool, transformations: bool) {
    let annotations = resource
        .object
        .get_mut("metadata")
        .and_then(|m| m.get_mut("annotations"));
    if let Some(Node::Mapping(annotations)) = annotations {
        annotations.remove(ORIGIN);
        annotations.remove(TRANSFORMATIONS);
    }
    let mut set = |key: &str, text: String| {
        let object = &mut resource.object;
        let metadata = object.get_or_insert_with("metadata", || Mapping::new().into());
        let Some(metadata) = metadata.as_mapping_mut() else {
            return;
        };
        let annotations = metadata.get_or_insert_with("annotations", || Mapping::new().into());
        if annotations.is_null() {
            *annotations = Mapping::new().into();
        }
        if let Some(annotations) = annotations.as_mapping_mut() {
            annotations.set(key, Node::string(text));
        }
    };
    if origins && let Some(origin) = &resource.trail.origin {
        set(ORIGIN, origin.text());
    }
    if transformations && !resource.trail.transformations.is_empty() {
        let items = resource.trail.transformations.iter().map(|t| {
            let text = t.text();
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            let rest: String = lines.map(|line| format!("  {line}\n")).collect();
            format!("- {first}\n{rest}")
        });
        set(TRANSFORMATIONS, items.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_what_is_built() {
        assert_eq!(join("../base", "a.yaml"), "../base/a.yaml");
        assert_eq!(join("../base/x", "../a.yaml"), "../base/a.yaml");
        assert_eq!(join("", "./a.yaml"), "a.yaml");
    }
}
