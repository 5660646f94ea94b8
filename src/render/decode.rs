//! Reading typed values out of YAML, as Go's JSON decoder does: names of fields match whatever their
//! case, null is the same as absent, and a value of another type is a mistake. Every mistake is
//! kept, with the place of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::Reason;
use super::limits::MAX_MISTAKES;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a mapping, by the key as written.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// One mistake and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The way to it from the root of the document.
    pub place: Vec<Step>,
    /// Its word.
    pub reason: Reason,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How strict the decoding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strictness {
    /// Whether a field without meaning is a mistake.
    pub unknown_fields: bool,
    /// Whether a number or boolean may stand for its text.
    pub text_from_scalars: bool,
}

impl Strictness {
    /// The kustomization file itself.
    pub const KUSTOMIZATION: Self = Self {
        unknown_fields: true,
        text_from_scalars: false,
    };
    /// Files under `configurations:`.
    pub const CONFIGURATION: Self = Self {
        unknown_fields: true,
        text_from_scalars: true,
    };
    /// Configurations of builtin plugins and files of replacements.
    pub const PLUGIN: Self = Self {
        unknown_fields: false,
        text_from_scalars: true,
    };
}

/// Collects the mistakes of one document.
#[derive(Debug)]
pub(super) struct Decoder {
    strictness: Strictness,
    mistakes: RefCell<Vec<Misfit>>,
}

impl Decoder {
    pub fn new(strictness: Strictness) -> Self {
        Self {
            strictness,
            mistakes: RefCell::new(Vec::new()),
        }
    }

    /// The document as a mapping.
    pub fn document<'a>(&'a self, value: &'a Value, what: &'static str) -> Record<'a> {
        Record::new(self, value, Vec::new(), what)
    }

    /// Every mistake that was met.
    pub fn mistakes(self) -> Vec<Misfit> {
        self.mistakes.into_inner()
    }

    fn mistake(&self, place: Vec<Step>, message: String, hint: Option<String>) {
        self.note(place, Reason::RenderFailed, message, hint);
    }

    fn unknown(&self, place: Vec<Step>, message: String, hint: Option<String>) {
        self.note(place, Reason::UnknownField, message, hint);
    }

    fn is_full(&self) -> bool {
        self.mistakes.borrow().len() >= MAX_MISTAKES
    }

    /// Keeps a mistake, unless there are more than anyone reads.
    fn note(&self, place: Vec<Step>, reason: Reason, message: String, hint: Option<String>) {
        if !self.is_full() {
            self.mistakes.borrow_mut().push(Misfit {
                place,
                reason,
                message,
                hint,
            });
        }
    }
}

/// One mapping being decoded.
#[derive(Debug)]
pub(super) struct Record<'a> {
    decoder: &'a Decoder,
    /// What the mapping is, for messages: `kustomization`, `patch`.
    what: &'static str,
    place: Vec<Step>,
    fields: Option<&'a Map<String, Value>>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Record<'a> {
    fn new(decoder: &'a Decoder, value: &'a Value, place: Vec<Step>, what: &'static str) -> Self {
        let fields = value.as_object();
        if fields.is_none() && !value.is_null() {
            let message = format!("expected a mapping, found {}", type_name(value));
            decoder.mistake(place.clone(), message, None);
        }
        Self {
            decoder,
            what,
            place,
            fields,
            known: RefCell::default(),
        }
    }

    /// Reports every field that was never asked for.
    pub fn finish(self) {
        let Some(fields) = self.fields else { return };
        if !self.decoder.strictness.unknown_fields {
            return;
        }
        let known = self.known.borrow();
        for key in fields.keys() {
            if self.decoder.is_full() {
                return;
            }
            if !known.iter().any(|k| k.eq_ignore_ascii_case(key)) {
                let hint = nearest(key, &known).map(|k| format!("did you mean `{k}`?"));
                let hint = hint.or_else(|| Some(format!("a {} has no such field", self.what)));
                self.decoder
                    .unknown(self.at(key), format!("unknown field `{key}`"), hint);
            }
        }
    }

    /// Whether the field is there, null or not.
    pub fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// The value of a field; none where it is null. An exact name wins over one of another case.
    pub fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.lookup(key).map(|(_, value)| value)
    }

    fn lookup(&self, key: &'static str) -> Option<(&'a str, &'a Value)> {
        self.known.borrow_mut().push(key);
        let fields = self.fields?;
        let exact = fields.get_key_value(key);
        let found = exact.or_else(|| fields.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)));
        found
            .map(|(k, v)| (k.as_str(), v))
            .filter(|(_, v)| !v.is_null())
    }

    fn at(&self, key: &str) -> Vec<Step> {
        let mut place = self.place.clone();
        place.push(Step::Key(key.to_owned()));
        place
    }

    /// Reports a mistake in this mapping.
    pub fn mistake(&self, message: impl Into<String>, hint: Option<&str>) {
        self.decoder
            .mistake(self.place.clone(), message.into(), hint.map(str::to_owned));
    }

    /// Refuses a field.
    pub fn refuse(&self, key: &str, reason: Reason, message: String, hint: &str) {
        let hint = Some(hint.to_owned());
        self.decoder.note(self.at(key), reason, message, hint);
    }

    /// A text, empty where it is absent.
    pub fn text(&self, key: &'static str) -> String {
        self.text_if_any(key).unwrap_or_default()
    }

    /// A text that may be absent.
    pub fn text_if_any(&self, key: &'static str) -> Option<String> {
        let (written, value) = self.lookup(key)?;
        self.as_text(value, || self.at(written))
    }

    /// A text, empty where it is absent, that no number or boolean may stand for: parts of an identity
    /// are never taken from other scalars.
    pub fn strict_text(&self, key: &'static str) -> String {
        match self.lookup(key) {
            None => String::new(),
            Some((_, Value::String(text))) => text.clone(),
            Some((written, other)) => {
                let message = format!("expected a text, found {}", type_name(other));
                self.decoder.mistake(
                    self.at(written),
                    message,
                    Some("put it in quotes".to_owned()),
                );
                String::new()
            }
        }
    }

    fn as_text(&self, value: &Value, place: impl Fn() -> Vec<Step>) -> Option<String> {
        match value {
            Value::Null => Some(String::new()),
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) if self.decoder.strictness.text_from_scalars => {
                Some(value.to_string())
            }
            other => {
                let message = format!("expected a text, found {}", type_name(other));
                let hint = (other.is_boolean() || other.is_number()).then(|| {
                    "put it in quotes: kustomize reads its own files by YAML 1.1".to_owned()
                });
                self.decoder.mistake(place(), message, hint);
                None
            }
        }
    }

    /// A boolean, false where it is absent.
    pub fn flag(&self, key: &'static str) -> bool {
        match self.lookup(key) {
            None => false,
            Some((_, Value::Bool(flag))) => *flag,
            Some((written, other)) => {
                let message = format!("expected true or false, found {}", type_name(other));
                self.decoder.mistake(self.at(written), message, None);
                false
            }
        }
    }

    /// A whole number, zero where it is absent.
    pub fn integer(&self, key: &'static str) -> i64 {
        match self.lookup(key) {
            None => 0,
            Some((written, value)) => value.as_i64().unwrap_or_else(|| {
                let message = format!("expected a whole number, found {}", type_name(value));
                self.decoder.mistake(self.at(written), message, None);
                0
            }),
        }
    }

    /// A list of texts.
    pub fn texts(&self, key: &'static str) -> Vec<String> {
        self.elements(key, |value, place| self.as_text(value, || place.clone()))
    }

    /// A mapping of texts.
    pub fn text_map(&self, key: &'static str) -> BTreeMap<String, String> {
        let Some((written, value)) = self.lookup(key) else {
            return BTreeMap::new();
        };
        let Some(fields) = value.as_object() else {
            let message = format!("expected a mapping, found {}", type_name(value));
            self.decoder.mistake(self.at(written), message, None);
            return BTreeMap::new();
        };
        let text = |(name, value): (&String, &Value)| {
            let place = || {
                let mut place = self.at(written);
                place.push(Step::Key(name.clone()));
                place
            };
            self.as_text(value, place).map(|text| (name.clone(), text))
        };
        fields.iter().filter_map(text).collect()
    }

    /// A mapping inside this one.
    pub fn record(&self, key: &'static str, what: &'static str) -> Option<Record<'a>> {
        let (written, value) = self.lookup(key)?;
        Some(Record::new(self.decoder, value, self.at(written), what))
    }

    /// A list of mappings; a null element is an empty one.
    pub fn records<T>(
        &self,
        key: &'static str,
        what: &'static str,
        mut read: impl FnMut(&Record<'a>) -> T,
    ) -> Vec<T> {
        self.elements(key, |value, place| {
            let record = Record::new(self.decoder, value, place, what);
            let one = read(&record);
            record.finish();
            Some(one)
        })
    }

    fn elements<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(&'a Value, Vec<Step>) -> Option<T>,
    ) -> Vec<T> {
        let Some((written, value)) = self.lookup(key) else {
            return Vec::new();
        };
        let Some(list) = value.as_array() else {
            let message = format!("expected a list, found {}", type_name(value));
            self.decoder.mistake(self.at(written), message, None);
            return Vec::new();
        };
        let element = |(i, value)| {
            let mut place = self.at(written);
            place.push(Step::Index(i));
            read(value, place)
        };
        list.iter().enumerate().filter_map(element).collect()
    }
}

/// What a value is, for messages. The value itself is never quoted: it may be secret.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// The known name that was probably meant.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    // nobody misspells one that long
    if key.len() > 64 {
        return None;
    }
    let key = key.to_lowercase();
    let best = known
        .iter()
        .map(|k| (distance(&key, &k.to_lowercase()), *k))
        .min()?;
    (best.0 <= 1 + key.chars().count() / 4).then_some(best.1)
}

/// How many letters must be typed, deleted, replaced or swapped.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_swapped_letter_is_guessed() {
        assert_eq!(
            nearest("resuorces", &["replicas", "resources"]),
            Some("resources")
        );
        assert_eq!(nearest("helm", &["replicas", "resources"]), None);
    }

    #[test]
    fn every_mistake_is_kept_with_its_place() {
        let decoder = Decoder::new(Strictness::KUSTOMIZATION);
        let value = json!({"nameprefix": "a-", "count": "x", "odd": 1, "none": null});
        let record = decoder.document(&value, "kustomization");
        assert_eq!(record.text("namePrefix"), "a-");
        assert_eq!(record.integer("count"), 0);
        assert_eq!(record.text_if_any("none"), None);
        record.finish();
        let places: Vec<_> = decoder.mistakes().into_iter().map(|m| m.place).collect();
        assert_eq!(
            places,
            [[Step::Key("count".into())], [Step::Key("odd".into())]]
        );
    }
}
