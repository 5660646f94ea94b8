//! ConfigMaps and Secrets that a kustomization generates, and the hash in their names.

mod hash;
mod make;
mod sources;

pub(super) use hash::add_hashes;
pub(super) use make::{Target, absorb, generate};

use std::collections::BTreeMap;

use super::decode::Record;
use super::resource::Behavior;

/// One entry of `configMapGenerator` or `secretGenerator`, or the configuration of such a plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct GeneratorArgs {
    pub name: String,
    pub namespace: String,
    pub behavior: Behavior,
    pub sources: Sources,
    pub options: GeneratorOptions,
    /// The type of a Secret; empty means Opaque.
    pub secret_type: String,
}

/// Where keys come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sources {
    pub literals: Vec<String>,
    pub files: Vec<String>,
    pub envs: Vec<String>,
}

/// `options` of a generator, or `generatorOptions` of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct GeneratorOptions {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub disable_name_suffix_hash: bool,
    pub immutable: bool,
}

impl GeneratorArgs {
    /// Reads one entry.
    pub fn read(record: &Record<'_>) -> Self {
        let mut envs = record.texts("envs");
        envs.extend(record.text_if_any("env").filter(|env| !env.is_empty()));
        Self {
            name: record.text("name"),
            namespace: record.text("namespace"),
            behavior: Behavior::from_word(&record.text("behavior")),
            sources: Sources {
                literals: record.texts("literals"),
                files: record.texts("files"),
                envs,
            },
            options: record.record("options", "generator options").map_or_else(
                GeneratorOptions::default,
                |r| {
                    let options = GeneratorOptions::read(&r);
                    r.finish();
                    options
                },
            ),
            secret_type: record.text("type"),
        }
    }
}

impl GeneratorOptions {
    /// Reads the options.
    pub fn read(record: &Record<'_>) -> Self {
        Self {
            labels: record.text_map("labels"),
            annotations: record.text_map("annotations"),
            disable_name_suffix_hash: record.flag("disableNameSuffixHash"),
            immutable: record.flag("immutable"),
        }
    }

    /// With the options of the file: local labels and annotations win key by key, and what is
    /// switched on globally cannot be switched off.
    pub fn with_global(&self, global: Option<&Self>) -> Self {
        let Some(global) = global else {
            return self.clone();
        };
        let both = |global: &BTreeMap<String, String>, local: &BTreeMap<String, String>| {
            let mut all = global.clone();
            all.extend(local.clone());
            all
        };
        Self {
            labels: both(&global.labels, &self.labels),
            annotations: both(&global.annotations, &self.annotations),
            disable_name_suffix_hash: self.disable_name_suffix_hash
                || global.disable_name_suffix_hash,
            immutable: self.immutable || global.immutable,
        }
    }
}
