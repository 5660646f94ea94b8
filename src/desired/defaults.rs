//! What an Application says for objects that say nothing themselves.

use crate::api::{IgnoreRule, ImmutableFields, ObjectOptions, Policy};
use crate::object::Gvk;

/// What holds for an object that does not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The namespace of objects that name none.
    pub namespace: String,
    /// They are written whole, not applied.
    pub replace: bool,
    /// What becomes of changes of fields that cannot be changed in place.
    pub immutable_fields: ImmutableFields,
    /// What is left to others.
    pub ignore: Vec<IgnoreRule>,
}

impl From<&Policy> for Defaults {
    fn from(policy: &Policy) -> Self {
        Self {
            namespace: policy.namespace.clone(),
            replace: policy.options.replace,
            immutable_fields: policy.immutable_fields,
            ignore: policy.ignore.clone(),
        }
    }
}

impl From<&str> for Defaults {
    fn from(namespace: &str) -> Self {
        Self {
            namespace: namespace.into(),
            ..Self::default()
        }
    }
}

/// When an object is created anew, because a field of it cannot be changed in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recreation {
    /// Never.
    #[default]
    Never,
    /// Once it has run to its end: a Job that is killed half-way may leave half a migration.
    WhenFinished,
    /// At once.
    AtOnce,
}

impl Defaults {
    /// Whether an object with these options is written whole.
    pub(super) fn replaces(&self, options: &ObjectOptions) -> bool {
        options.replace.unwrap_or(self.replace)
    }

    /// When an object of this kind with these options is created anew.
    pub(super) fn recreation(&self, gvk: &Gvk, options: &ObjectOptions) -> Recreation {
        let is_job = gvk.group == "batch" && gvk.kind == "Job";
        match (options.force, self.immutable_fields) {
            (Some(true), _) => Recreation::AtOnce,
            (Some(false), _) | (None, ImmutableFields::Fail) => Recreation::Never,
            (None, _) if is_job => Recreation::WhenFinished,
            (None, ImmutableFields::Recreate) => Recreation::AtOnce,
            (None, ImmutableFields::RecreateJobs) => Recreation::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_the_last_word_and_a_running_job_is_killed_only_by_its_own() {
        use ImmutableFields::{Fail, Recreate, RecreateJobs};
        for (said, kind, force, expected) in [
            (Fail, "batch/v1 Job", None, Recreation::Never),
            (Fail, "batch/v1 Job", Some(true), Recreation::AtOnce),
            (RecreateJobs, "batch/v1 Job", None, Recreation::WhenFinished),
            (RecreateJobs, "apps/v1 Deployment", None, Recreation::Never),
            (Recreate, "batch/v1 Job", None, Recreation::WhenFinished),
            (Recreate, "apps/v1 Deployment", None, Recreation::AtOnce),
            (
                Recreate,
                "apps/v1 Deployment",
                Some(false),
                Recreation::Never,
            ),
        ] {
            let (api, name) = kind.split_once(' ').expect("two words");
            let defaults = Defaults {
                immutable_fields: said,
                ..Defaults::default()
            };
            let options = ObjectOptions {
                force,
                ..ObjectOptions::default()
            };
            let when = defaults.recreation(&Gvk::from_api_version(api, name), &options);
            assert_eq!(when, expected, "{said:?} {kind} {force:?}");
        }
    }
}
