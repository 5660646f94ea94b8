//! Which fields of an object a field manager owns: the `fieldsV1` of `metadata.managedFields` as a
//! set of paths.
//!
//! The format is that of structured-merge-diff, which the API server uses for server-side apply:
//! `f:NAME` is a field, `k:{…}` the element of a keyed list, `v:…` a member of a set, `i:N` an
//! index, and `.` says that the value itself is owned beside what is under it. A step of a form
//! that is not known is left out, as structured-merge-diff does.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::{Path, Step};

/// A set of paths: what one manager, or several, own in an object.
///
/// A path can be in the set with paths under it (an element of a keyed list and its fields) or
/// without: then the value as a whole is owned (a scalar, an atomic list or map, or an empty map).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// The value here is itself in the set.
    owned: bool,
    /// What is under it.
    under: BTreeMap<Step, Fields>,
}

impl Fields {
    /// From `fieldsV1`; what is not a map is the empty set. The object itself is never a member.
    pub fn from_json(fields_v1: &Value) -> Self {
        Self {
            owned: false,
            ..Self::parse(fields_v1)
        }
    }

    fn parse(node: &Value) -> Self {
        let Some(map) = node.as_object() else {
            return Self::default();
        };
        let mut fields = Self {
            owned: map.contains_key("."),
            under: BTreeMap::new(),
        };
        for (key, child) in map {
            let Some(step) = Step::parse(key) else {
                continue;
            };
            let mut child = Self::parse(child);
            // An empty map is a member without anything under it.
            child.owned |= child.under.is_empty();
            fields.under.insert(step, child);
        }
        fields
    }

    /// As `fieldsV1`.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.owned && !self.under.is_empty() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        for (step, child) in &self.under {
            map.insert(step.spelled(), child.to_json());
        }
        Value::Object(map)
    }

    /// The set of these paths.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut fields = Self::default();
        for path in paths {
            fields.insert(path);
        }
        fields
    }

    /// Adds one path.
    pub fn insert(&mut self, path: &Path) {
        let mut at = self;
        for step in &path.0 {
            at = at.under.entry(step.clone()).or_default();
        }
        at.owned = true;
    }

    /// True when no path is in the set.
    pub fn is_empty(&self) -> bool {
        !self.owned && self.under.values().all(Self::is_empty)
    }

    /// True when exactly this path is in the set.
    pub fn contains(&self, path: &Path) -> bool {
        self.at(path).is_some_and(|node| node.owned)
    }

    /// True when this path or one under it is in the set.
    pub fn touches(&self, path: &Path) -> bool {
        self.at(path).is_some_and(|node| !node.is_empty())
    }

    /// True when this path, or a value as a whole that holds it, is in the set.
    pub fn covers(&self, path: &Path) -> bool {
        let mut at = self;
        for step in &path.0 {
            if at.is_whole() {
                return true;
            }
            let Some(next) = at.under.get(step) else {
                return false;
            };
            at = next;
        }
        at.owned
    }

    /// All paths of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.extend(other);
        all
    }

    /// Adds all paths of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.owned |= other.owned;
        for (step, child) in &other.under {
            self.under.entry(step.clone()).or_default().extend(child);
        }
    }

    /// The paths of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let nothing = Self::default();
        let under = self.under.iter().map(|(step, child)| {
            (
                step.clone(),
                child.difference(other.under.get(step).unwrap_or(&nothing)),
            )
        });
        Self {
            owned: self.owned && !other.owned,
            under: under.filter(|(_, child)| !child.is_empty()).collect(),
        }
    }

    /// The paths of this set that are neither in the other nor under one of its paths: how an
    /// ignored field is left out together with all it holds.
    #[must_use]
    pub fn outside(&self, other: &Self) -> Self {
        if other.owned {
            return Self::default();
        }
        let nothing = Self::default();
        let under = self.under.iter().map(|(step, child)| {
            (
                step.clone(),
                child.outside(other.under.get(step).unwrap_or(&nothing)),
            )
        });
        Self {
            owned: self.owned,
            under: under.filter(|(_, child)| !child.is_empty()).collect(),
        }
    }

    /// The paths for which `keep` holds.
    #[must_use]
    pub fn filter(&self, keep: &dyn Fn(&Path) -> bool) -> Self {
        Self::of(self.paths().iter().filter(|path| keep(path)))
    }

    /// All paths in the set, a value before what it holds, otherwise by field name.
    pub fn paths(&self) -> Vec<Path> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, at: &mut Vec<Step>, out: &mut Vec<Path>) {
        if self.owned {
            out.push(Path(at.clone()));
        }
        for (step, child) in &self.under {
            at.push(step.clone());
            child.collect(at, out);
            at.pop();
        }
    }

    /// What of the set is at and under `path`.
    pub fn at(&self, path: &Path) -> Option<&Self> {
        path.0
            .iter()
            .try_fold(self, |node, step| node.under.get(step))
    }

    /// What is under one step.
    pub fn child(&self, step: &Step) -> Option<&Self> {
        self.under.get(step)
    }

    /// The steps from here, sorted, with what is under each.
    pub fn children(&self) -> impl Iterator<Item = (&Step, &Self)> {
        self.under.iter()
    }

    /// True when the value here is in the set.
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// True when the value here is in the set and nothing under it is: the path stands for all of
    /// the value.
    pub fn is_whole(&self) -> bool {
        self.owned && self.under.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({
            "f:metadata": {"f:annotations": {".": {}, "f:a.b/c": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                ".": {}, "f:image": {}, "f:name": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}
            }}, "f:list": {"i:0": {}}}
        })
    }

    #[test]
    fn fields_v1_reads_and_writes_the_same() {
        assert_eq!(Fields::from_json(&sample()).to_json(), sample());
    }

    #[test]
    fn paths_read_as_people_write_them() {
        let fields = Fields::from_json(&sample());
        let lines: Vec<String> = fields.paths().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "metadata.annotations",
                "metadata.annotations[\"a.b/c\"]",
                "metadata.finalizers[=\"x\"]",
                "spec.containers[name=\"web\"]",
                "spec.containers[name=\"web\"].image",
                "spec.containers[name=\"web\"].name",
                "spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"]",
                "spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"].containerPort",
                "spec.list[0]",
            ]
        );
    }

    #[test]
    fn sets_add_and_subtract() {
        let all = Fields::from_json(&sample());
        let image = Path(vec![
            Step::field("spec"),
            Step::field("containers"),
            Step::key("name", "web"),
            Step::field("image"),
        ]);
        let one = Fields::of([&image]);
        assert!(all.contains(&image) && all.touches(&Path::of(&["spec"])));
        assert!(!all.contains(&Path::of(&["spec"])));
        let rest = all.difference(&one);
        assert!(!rest.contains(&image));
        assert_eq!(rest.union(&one), all);
        assert!(all.difference(&all).is_empty());
        let spec = Fields::of([&Path::of(&["spec"])]);
        assert!(!all.outside(&spec).touches(&Path::of(&["spec"])));
        assert!(spec.covers(&image) && !one.covers(&Path::of(&["spec"])));
    }

    #[test]
    fn junk_is_the_empty_set() {
        for junk in [
            json!(null),
            json!([1]),
            json!("f:a"),
            json!({"x": {}, "k:{": {}, "i:-1": {}}),
        ] {
            assert!(Fields::from_json(&junk).is_empty(), "{junk}");
        }
    }
}
