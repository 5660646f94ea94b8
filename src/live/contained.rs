//! Whether a desired object is already in the live one: the comparison where managed fields say
//! nothing, and the first look after a start.
//!
//! It errs on the safe side: a difference that is none costs a dry-run, one that is missed would
//! hide drift.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::fields::Fields;
use super::keyed::{complete, key_names, keys_of};
use super::path::{Path, Step};
use super::projection::{Elements, key_of};
use super::quantity;

/// In what way desired and live differ at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The values differ, or live has none.
    Differs,
    /// The values are the same, but towline does not own the path: somebody else may drop it.
    Unowned,
    /// Towline owns the path and desired does not have it any more.
    Dropped,
}

/// One difference. Its values may be secret: shown only through [`crate::diff`], which masks them.
#[derive(Clone, PartialEq)]
pub struct Mismatch<'a> {
    /// Where.
    pub path: Path,
    /// In what way.
    pub kind: Kind,
    /// The value in Git.
    pub desired: Option<&'a Value>,
    /// The value in the cluster.
    pub live: Option<&'a Value>,
}

impl fmt::Debug for Mismatch<'_> {
    /// Without the values, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind, self.path)
    }
}

/// Whether every field of `desired` has the same value in `live`.
///
/// With `owned` (what towline owns in `live`) lists are compared as the API server keeps them:
/// element by element where the set has keys, as a whole where it has not; and what towline owns
/// but `desired` lacks is a difference. Without it, lists of maps are matched by the keys that
/// Kubernetes uses for them, and more elements in `live` are allowed.
///
/// # Errors
/// All differences, in the order of the desired object.
pub fn contained<'a>(
    desired: &'a Value,
    live: &'a Value,
    owned: Option<&Fields>,
) -> Result<(), Vec<Mismatch<'a>>> {
    let mut out = Vec::new();
    let mut walk = Walk {
        at: Vec::new(),
        out: &mut out,
    };
    walk.compare(
        desired,
        Some(live),
        owned.map_or(Owned::Unknown, Owned::Set),
    );
    if out.is_empty() { Ok(()) } else { Err(out) }
}

/// What towline owns at the place the walk is at.
#[derive(Clone, Copy)]
enum Owned<'f> {
    /// Not known: no managed fields.
    Unknown,
    /// This, below here.
    Set(&'f Fields),
    /// Everything: a value above is owned as a whole.
    All,
    /// Nothing.
    Nothing,
}

impl Owned<'_> {
    fn under(self, step: &Step) -> Self {
        match self {
            Self::Set(fields) if fields.is_whole() => Self::All,
            Self::Set(fields) => fields.child(step).map_or(Self::Nothing, Self::Set),
            other => other,
        }
    }

    fn is_owned(self) -> bool {
        match self {
            Self::Unknown | Self::All => true,
            Self::Set(fields) => fields.is_owned(),
            Self::Nothing => false,
        }
    }
}

struct Walk<'a, 'o> {
    at: Vec<Step>,
    out: &'o mut Vec<Mismatch<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn report(&mut self, kind: Kind, desired: Option<&'a Value>, live: Option<&'a Value>) {
        self.out.push(Mismatch {
            path: Path(self.at.clone()),
            kind,
            desired,
            live,
        });
    }

    fn compare(&mut self, desired: &'a Value, live: Option<&'a Value>, owned: Owned<'_>) {
        if self.is_identity() || desired.is_null() && live.is_none_or(Value::is_null) {
            return;
        }
        match (desired, live) {
            (Value::Object(wanted), Some(there @ Value::Object(_))) if !wanted.is_empty() => {
                for (name, value) in wanted {
                    self.inside(Step::field(name), value, there.get(name), owned);
                }
                self.dropped(&wanted.keys().map(Step::field).collect(), there, owned);
            }
            (Value::Array(wanted), Some(there @ Value::Array(_))) if !wanted.is_empty() => {
                self.list(desired, there, owned);
            }
            (_, None) if is_empty(desired, owned) => self.owned_alike(desired, live, owned),
            (Value::Object(_), Some(Value::Object(_))) => self.owned_alike(desired, live, owned),
            (_, Some(there)) if self.same(desired, there) => self.owned_alike(desired, live, owned),
            _ => self.report(Kind::Differs, Some(desired), live),
        }
    }

    /// One step further.
    fn inside(
        &mut self,
        step: Step,
        desired: &'a Value,
        live: Option<&'a Value>,
        owned: Owned<'_>,
    ) {
        let owned = owned.under(&step);
        self.at.push(step);
        self.compare(desired, live, owned);
        self.at.pop();
    }

    fn owned_alike(&mut self, desired: &'a Value, live: Option<&'a Value>, owned: Owned<'_>) {
        if !owned.is_owned() {
            self.report(Kind::Unowned, Some(desired), live);
        }
    }

    /// What towline owns here, the object has, and no step in `wanted` leads to.
    fn dropped(&mut self, wanted: &BTreeSet<Step>, live: &'a Value, owned: Owned<'_>) {
        let Owned::Set(fields) = owned else { return };
        let there = Elements::of(Some(live), fields);
        for (step, child) in fields.children() {
            let Some(value) = there.at(step).filter(|_| !wanted.contains(step)) else {
                continue;
            };
            self.at.push(step.clone());
            if child.is_owned() {
                self.report(Kind::Dropped, None, Some(value));
            } else {
                self.dropped(&BTreeSet::new(), value, Owned::Set(child));
            }
            self.at.pop();
        }
    }

    fn list(&mut self, desired: &'a Value, live: &'a Value, owned: Owned<'_>) {
        let wanted = desired.as_array().map_or(&[][..], Vec::as_slice);
        let there = live.as_array().map_or(&[][..], Vec::as_slice);
        match owned {
            Owned::Set(fields) if !fields.is_whole() => {
                let wanted = self.by_fields(desired, live, fields);
                self.dropped(&wanted, live, owned);
            }
            // Nothing of it is owned: keys serve to name the elements.
            Owned::Unknown | Owned::Nothing => match keys_of(wanted).or_else(|| keys_of(there)) {
                Some(names) => self.by_keys(wanted, there, names, owned),
                None => self.by_index(desired, live, owned),
            },
            Owned::All | Owned::Set(_) => self.by_index(desired, live, owned),
        }
    }

    /// As the field set says: elements by key, members of a set by value. Returns their steps.
    fn by_fields(
        &mut self,
        desired: &'a Value,
        live: &'a Value,
        fields: &Fields,
    ) -> BTreeSet<Step> {
        let wanted = desired.as_array().map_or(&[][..], Vec::as_slice);
        let there = Elements::of(Some(live), fields);
        let names = key_names(fields);
        let mut steps = BTreeSet::new();
        for (index, element) in wanted.iter().enumerate() {
            let step = if element.is_object() && !names.is_empty() {
                let mut key = key_of(element, names.iter().copied());
                // A key that the schema gives a default (`protocol`) may be missing in Git.
                complete(&mut key, fields);
                Step::Key(key)
            } else if fields
                .children()
                .any(|(step, _)| matches!(step, Step::Value(_)))
            {
                Step::Value(element.to_string())
            } else {
                Step::Index(index)
            };
            self.inside(step.clone(), element, there.at(&step), Owned::Set(fields));
            steps.insert(step);
        }
        steps
    }

    /// By the keys that Kubernetes uses; more elements in live are allowed.
    fn by_keys(
        &mut self,
        wanted: &'a [Value],
        there: &'a [Value],
        names: &'static [&'static str],
        owned: Owned<'_>,
    ) {
        let index: BTreeMap<_, _> = there
            .iter()
            .rev()
            .map(|v| (key_of(v, names.iter().copied()), v))
            .collect();
        for element in wanted {
            let key = key_of(element, names.iter().copied());
            let live = index.get(&key).copied();
            self.inside(Step::Key(key), element, live, owned);
        }
    }

    /// Element by element, and no more of them.
    fn by_index(&mut self, desired: &'a Value, live: &'a Value, owned: Owned<'_>) {
        let wanted = desired.as_array().map_or(&[][..], Vec::as_slice);
        let there = live.as_array().map_or(&[][..], Vec::as_slice);
        if wanted.len() != there.len() {
            return self.report(Kind::Differs, Some(desired), Some(live));
        }
        for (index, (wanted, there)) in wanted.iter().zip(there).enumerate() {
            self.inside(Step::Index(index), wanted, Some(there), owned);
        }
    }

    /// The same scalar, or the same amount where the API has quantities.
    fn same(&self, desired: &Value, live: &Value) -> bool {
        if desired == live {
            return true;
        }
        match (desired, live) {
            (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {
                // Beyond 2^53 two integers may share a float.
                a.is_f64() || b.is_f64()
            }
            _ => quantity::may_be_at(&Path(self.at.clone())) && quantity::same(desired, live),
        }
    }

    /// Names and versions of the object itself are never owned and never differ.
    fn is_identity(&self) -> bool {
        match self.at.as_slice() {
            [Step::Field(one)] => one == "apiVersion" || one == "kind",
            [Step::Field(one), Step::Field(two)] => {
                one == "metadata" && (two == "name" || two == "namespace")
            }
            _ => false,
        }
    }
}

/// Values that the API server may leave out of what it returns. Where managed fields show that the
/// path is still ours, so are `false` and `0`, which built-in kinds leave out too.
fn is_empty(value: &Value, owned: Owned<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(on) => !on && matches!(owned, Owned::Set(_)),
        Value::Number(number) => number.as_f64() == Some(0.0) && matches!(owned, Owned::Set(_)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(desired: &Value, live: &Value, owned: Option<&Value>) -> Vec<String> {
        let owned = owned.map(Fields::from_json);
        match contained(desired, live, owned.as_ref()) {
            Ok(()) => Vec::new(),
            Err(all) => all.iter().map(|one| format!("{one:?}")).collect(),
        }
    }

    #[test]
    fn defaults_and_more_elements_in_live_are_allowed() {
        let desired = json!({"apiVersion": "apps/v1", "kind": "D", "metadata": {"name": "x"}, "spec": {
            "replicas": 1, "paused": null, "nodeSelector": {}, "args": ["a"],
            "containers": [{"name": "web", "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}},
                "ports": [{"containerPort": 80, "protocol": "TCP"}], "env": []}]}});
        let live = json!({"apiVersion": "apps/v1", "kind": "D", "metadata": {"name": "x", "uid": "1"}, "spec": {
            "replicas": 1.0, "args": ["a"], "strategy": {"type": "RollingUpdate"},
            "containers": [{"name": "sidecar"},
                {"name": "web", "resources": {"limits": {"cpu": "1", "memory": "1024Mi"}},
                "ports": [{"containerPort": 80, "protocol": "TCP"}], "image": "x"}]}});
        assert_eq!(lines(&desired, &live, None), [""; 0]);
    }

    #[test]
    fn differences_name_their_path() {
        let desired = json!({"data": {"a": "1Ki", "b": "x"}, "spec": {"list": [1, 2],
            "containers": [{"name": "web", "image": "a"}], "off": false}});
        let live = json!({"data": {"a": "1024"}, "spec": {"list": [2, 1, 3],
            "containers": [{"name": "api", "image": "a"}]}});
        assert_eq!(
            lines(&desired, &live, None),
            [
                "Differs at data.a",
                "Differs at data.b",
                "Differs at spec.containers[name=\"web\"]",
                "Differs at spec.list",
                "Differs at spec.off",
            ]
        );
    }

    #[test]
    fn with_managed_fields_lists_are_what_the_server_takes_them_for() {
        let owned = json!({"f:spec": {
            "f:atomic": {}, "f:off": {}, "f:gone": {},
            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}},
                "k:{\"port\":81,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
            "f:set": {"v:\"a\"": {}}}});
        let desired = json!({"spec": {"atomic": [{"name": "a"}], "off": false, "ports": [{"port": 80}],
            "set": ["a"], "new": 1}});
        let live = json!({"spec": {"atomic": [{"name": "a"}, {"name": "b"}], "gone": 1, "new": 1,
            "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}],
            "set": ["a", "b"]}});
        assert_eq!(
            lines(&desired, &live, Some(&owned)),
            [
                "Differs at spec.atomic",
                "Unowned at spec.new",
                "Dropped at spec.ports[port=81,protocol=\"TCP\"]",
                "Dropped at spec.gone",
            ]
        );
    }

    #[test]
    fn large_integers_are_compared_exactly() {
        let (a, b) = (
            json!({"x": 9_007_199_254_740_993_u64}),
            json!({"x": 9_007_199_254_740_992_u64}),
        );
        assert_eq!(lines(&a, &b, None), ["Differs at x"]);
        assert_eq!(lines(&a, &a, None), [""; 0]);
    }

    #[test]
    fn a_mismatch_does_not_print_its_values() {
        let (desired, live) = (json!({"data": {"k": "c2VjcmV0"}}), json!({"data": {}}));
        let all = contained(&desired, &live, None).expect_err("differs");
        assert!(!format!("{all:?}").contains("c2Vj"));
    }
}
