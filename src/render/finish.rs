//! The last change of each object, when all layers are accumulated: kustomize's bookkeeping goes, and
//! what `buildMetadata` asks for comes.

use super::Options;
use super::error::Result;
use super::kustomization::Kustomization;
use super::provenance;
use super::resource::{Resource, set_metadata_map};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish {
    managed: bool,
    origins: bool,
    transformations: bool,
}

/// Annotations of kustomize's bookkeeping, which never leave a build.
const INTERNAL: &[&str] = &[
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    "config.kubernetes.io/id",
    "internal.config.kubernetes.io/helm-generated",
];

impl Finish {
    /// What the kustomization that is built asks for, and who builds it.
    pub fn new(file: &Kustomization, options: &Options) -> Self {
        Self {
            managed: options.managed_by_label || file.asks_for("managedByLabel"),
            origins: file.asks_for("originAnnotations"),
            transformations: file.asks_for("transformerAnnotations"),
        }
    }

    /// Drops bookkeeping, and makes strings of all annotations.
    ///
    /// # Errors
    /// Where transformers took its kind or name.
    pub fn apply(&self, resource: &mut Resource) -> Result<()> {
        provenance::annotate(resource, self.origins, self.transformations);
        resource
            .check_named()
            .map_err(|e| e.about(resource.id()).within(&resource.source.path))?;
        if self.managed {
            let mut labels = resource.metadata_map("labels");
            labels.retain(|(key, _)| key != "app.kubernetes.io/managed-by");
            labels.push((
                "app.kubernetes.io/managed-by".into(),
                "kustomize-v5.8.1".into(),
            ));
            set_metadata_map(&mut resource.object, "labels", labels);
        }
        let mut annotations = resource.metadata_map("annotations");
        annotations.retain(|(key, _)| !INTERNAL.contains(&key.as_str()));
        set_metadata_map(&mut resource.object, "annotations", annotations);
        Ok(())
    }
}
