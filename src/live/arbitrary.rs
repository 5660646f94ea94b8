//! Values of every sort for tests that look for panics: the same ones in every run.

use serde_json::{Map, Value, json};

/// A linear congruential generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }

    /// A value up to `depth` deep, whose field names and texts are among `words`.
    pub(crate) fn value(&mut self, words: &[&str], depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 12 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(if self.below(2) == 0 {
                i64::MIN
            } else {
                i64::MAX
            }),
            3 => json!(self.below(3)),
            4 | 5 => json!(words[self.below(words.len())]),
            6 | 7 => (0..self.below(4))
                .map(|_| self.value(words, depth - 1))
                .collect(),
            _ => (0..self.below(6))
                .map(|_| {
                    (
                        words[self.below(words.len())].to_owned(),
                        self.value(words, depth - 1),
                    )
                })
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        ADOPTION, Fields, HEAL, Ignored, Operation, contained, fingerprint, owned_by,
        replicas_yielded, takeover,
    };
    use super::*;
    use crate::object::Object;

    /// Steps of `fieldsV1` and names of fields, so that both meet.
    const WORDS: &[&str] = &[
        "f:a",
        "f:b",
        "f:spec",
        "f:list",
        "f:metadata",
        "f:status",
        "k:{\"name\":\"a\"}",
        "k:{\"port\":1,\"p\":2}",
        "k:[]",
        "v:\"a\"",
        "v:1",
        "i:0",
        "i:99999999999999999999",
        ".",
        "",
        "x:y",
        "a",
        "b",
        "spec",
        "list",
        "name",
        "port",
        "limits",
        "1000m",
        "1",
        "status",
    ];

    fn object(random: &mut Random) -> Object {
        let one_of = |texts: &[&'static str], random: &mut Random| texts[random.below(texts.len())];
        let entries: Vec<Value> = (0..random.below(5))
            .map(|_| {
                let manager = one_of(
                    &["towline", "kubectl-edit", "before-first-apply", "istio"],
                    random,
                );
                let operation = one_of(&["Apply", "Update", "Other"], random);
                let api_version = one_of(&["v1", "v2"], random);
                let subresource = one_of(&["", "", "status", "scale"], random);
                json!({"manager": manager, "operation": operation, "apiVersion": api_version,
                    "subresource": subresource, "fieldsV1": random.value(WORDS, 4)})
            })
            .collect();
        Object(
            json!({"apiVersion": "v1", "kind": "X", "spec": random.value(WORDS, 4),
            "list": random.value(WORDS, 3), "a": random.value(WORDS, 2),
            "metadata": {"resourceVersion": "1", "managedFields": entries}}),
        )
    }

    #[test]
    fn nothing_panics_and_a_takeover_leaves_nothing_to_take() {
        let mut random = Random(1);
        for _ in 0..3000 {
            let (live, desired) = (object(&mut random), object(&mut random));
            let ignored = Ignored {
                fields: Fields::from_json(&random.value(WORDS, 2)),
                ..Ignored::default()
            };
            let first = fingerprint(&live, Operation::Apply, &ignored);
            assert_eq!(first, fingerprint(&live, Operation::Apply, &ignored));
            let owned = owned_by(&live, "towline", Operation::Apply).ok();
            let _ = contained(&desired.0, &live.0, owned.as_ref());
            let _ = contained(&desired.0, &live.0, None);
            assert!(contained(&live.0, &live.0, None).is_ok(), "{}", live.0);
            let _ = replicas_yielded(&live);
            for names in [HEAL, ADOPTION] {
                let Some(takeover) = takeover(&live, names, &ignored) else {
                    continue;
                };
                let mut after = live.clone();
                after.0["metadata"]["managedFields"] = takeover.patch[1]["value"].clone();
                let again = super::super::takeover(&after, names, &ignored);
                assert!(
                    again.is_none(),
                    "{}\n{:?}",
                    live.0,
                    again.map(|again| again.fields)
                );
            }
        }
    }

    #[test]
    fn sets_keep_the_laws_of_sets() {
        let mut random = Random(2);
        for _ in 0..3000 {
            let a = Fields::from_json(&random.value(WORDS, 4));
            let b = Fields::from_json(&random.value(WORDS, 4));
            let paths = |fields: &Fields| fields.paths();
            assert_eq!(paths(&a.union(&b)), paths(&b.union(&a)));
            assert_eq!(paths(&Fields::of(&a.paths())), a.paths());
            assert_eq!(paths(&Fields::from_json(&a.to_json())), a.paths());
            assert!(
                a.difference(&b)
                    .paths()
                    .iter()
                    .all(|path| a.contains(path) && !b.contains(path))
            );
            assert_eq!(paths(&a.difference(&b).union(&b)), paths(&a.union(&b)));
            assert!(a.difference(&a).is_empty() && a.outside(&a).is_empty());
        }
    }
}
