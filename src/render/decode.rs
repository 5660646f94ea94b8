//! Reading typed values out of YAML, as Go's JSON decoder does: names of fields match whatever their
//! case, null is the same as absent, and a value of another type is a mistake. Every mistake is
//! kept, with the place of it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use super::error::Reason;
use super::limits::MAX_MISTAKES;
use crate::yaml::View;

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

/// The way from the root to a value. It is written out as [`Step`]s for a mistake alone: lists are
/// long, and hardly any has one.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    /// The document itself.
    Root,
    /// The field of a mapping, by the key as written.
    Field(&'a Place<'a>, &'a str),
    /// The element of a list.
    Element(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// The steps of the way, from the root on.
    fn steps(&self) -> Vec<Step> {
        let (above, step) = match self {
            Self::Root => return Vec::new(),
            Self::Field(above, key) => (above, Step::Key((*key).to_owned())),
            Self::Element(above, index) => (above, Step::Index(*index)),
        };
        let mut steps = above.steps();
        steps.push(step);
        steps
    }
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
    pub fn document<'a>(&'a self, view: &'a View<'a>, what: &'static str) -> Record<'a> {
        Record::new(self, view, Place::Root, what)
    }

    /// Every mistake that was met.
    pub fn mistakes(self) -> Vec<Misfit> {
        self.mistakes.into_inner()
    }

    fn mistake(&self, place: &Place<'_>, message: String, hint: Option<String>) {
        self.note(place, Reason::RenderFailed, message, hint);
    }

    /// A value that is not what its field takes.
    fn unexpected(&self, place: &Place<'_>, expected: &str, view: &View<'_>, hint: Option<&str>) {
        let message = format!("expected {expected}, found {}", type_name(view));
        self.mistake(place, message, hint.map(str::to_owned));
    }

    fn is_full(&self) -> bool {
        self.mistakes.borrow().len() >= MAX_MISTAKES
    }

    /// Keeps a mistake, unless there are more than anyone reads.
    fn note(&self, place: &Place<'_>, reason: Reason, message: String, hint: Option<String>) {
        if !self.is_full() {
            self.mistakes.borrow_mut().push(Misfit {
                place: place.steps(),
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
    place: Place<'a>,
    /// Each key once, in the order of their bytes; none where it is no mapping.
    fields: &'a [(Cow<'a, str>, View<'a>)],
    /// The fields that were asked for, where all others are mistakes.
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Record<'a> {
    fn new(decoder: &'a Decoder, view: &'a View<'a>, place: Place<'a>, what: &'static str) -> Self {
        let fields = match view {
            View::Map(fields) => fields.as_slice(),
            View::Null => &[],
            other => {
                decoder.unexpected(&place, "a mapping", other, None);
                &[]
            }
        };
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
        self.report_unknown();
    }

    /// As [`finish`](Self::finish).
    fn report_unknown(&self) {
        if !self.decoder.strictness.unknown_fields {
            return;
        }
        let known = self.known.borrow();
        for (key, _) in self.fields {
            if self.decoder.is_full() {
                return;
            }
            if !known.iter().any(|k| k.eq_ignore_ascii_case(key)) {
                let hint = nearest(key, &known).map_or_else(
                    || format!("a {} has no such field", self.what),
                    |k| format!("did you mean `{k}`?"),
                );
                let message = format!("unknown field `{key}`");
                let place = Place::Field(&self.place, key);
                self.decoder
                    .note(&place, Reason::UnknownField, message, Some(hint));
            }
        }
    }

    /// Whether the field is there and not null.
    pub fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// The value of a field; none where it is null. An exact name wins over one of another case.
    pub fn value(&self, key: &'static str) -> Option<&View<'_>> {
        self.lookup(key).map(|(_, view)| view)
    }

    /// Asks for a field: where it is, and what.
    fn lookup(&self, key: &'static str) -> Option<(Place<'_>, &View<'_>)> {
        if self.decoder.strictness.unknown_fields {
            self.known.borrow_mut().push(key);
        }
        let exact = self.fields.iter().find(|(k, _)| k == key);
        let found = exact.or_else(|| {
            self.fields
                .iter()
                .find(|(k, _)| k.eq_ignore_ascii_case(key))
        });
        let (written, view) = found.filter(|(_, view)| !matches!(view, View::Null))?;
        Some((Place::Field(&self.place, written), view))
    }

    /// Reports a mistake in this mapping.
    pub fn mistake(&self, message: impl Into<String>, hint: Option<&str>) {
        self.decoder
            .mistake(&self.place, message.into(), hint.map(str::to_owned));
    }

    /// Refuses a field.
    pub fn refuse(&self, key: &str, reason: Reason, message: String, hint: &str) {
        let place = Place::Field(&self.place, key);
        self.decoder
            .note(&place, reason, message, Some(hint.to_owned()));
    }

    /// A text, empty where it is absent.
    pub fn text(&self, key: &'static str) -> String {
        self.text_if_any(key).unwrap_or_default()
    }

    /// A text that may be absent.
    pub fn text_if_any(&self, key: &'static str) -> Option<String> {
        let (place, view) = self.lookup(key)?;
        self.as_text(view, &place)
    }

    /// A text, empty where it is absent, that no number or boolean may stand for: parts of an identity
    /// are never taken from other scalars.
    pub fn strict_text(&self, key: &'static str) -> String {
        match self.lookup(key) {
            None => String::new(),
            Some((_, View::Text(text))) => text.to_string(),
            Some((place, other)) => {
                let hint = Some("put it in quotes");
                self.decoder.unexpected(&place, "a text", other, hint);
                String::new()
            }
        }
    }

    /// Any value as a text, where it may stand for one.
    fn as_text(&self, view: &View<'_>, place: &Place<'_>) -> Option<String> {
        let from_scalars = self.decoder.strictness.text_from_scalars;
        match view {
            View::Null => Some(String::new()),
            View::Text(text) => Some(text.to_string()),
            View::Bool(flag) if from_scalars => Some(flag.to_string()),
            View::Number(number) if from_scalars => Some(number.to_string()),
            other => {
                let hint = matches!(other, View::Bool(_) | View::Number(_))
                    .then_some("put it in quotes: kustomize reads its own files by YAML 1.1");
                self.decoder.unexpected(place, "a text", other, hint);
                None
            }
        }
    }

    /// A boolean, false where it is absent.
    pub fn flag(&self, key: &'static str) -> bool {
        match self.lookup(key) {
            None => false,
            Some((_, View::Bool(flag))) => *flag,
            Some((place, other)) => {
                self.decoder
                    .unexpected(&place, "true or false", other, None);
                false
            }
        }
    }

    /// A whole number, zero where it is absent.
    pub fn integer(&self, key: &'static str) -> i64 {
        let Some((place, view)) = self.lookup(key) else {
            return 0;
        };
        let whole = match view {
            View::Number(number) => number.as_i64(),
            _ => None,
        };
        whole.unwrap_or_else(|| {
            self.decoder
                .unexpected(&place, "a whole number", view, None);
            0
        })
    }

    /// A list of texts.
    pub fn texts(&self, key: &'static str) -> Vec<String> {
        self.elements(key, |view, place| self.as_text(view, &place))
    }

    /// A mapping of texts.
    pub fn text_map(&self, key: &'static str) -> BTreeMap<String, String> {
        let Some((place, view)) = self.lookup(key) else {
            return BTreeMap::new();
        };
        let View::Map(fields) = view else {
            self.decoder.unexpected(&place, "a mapping", view, None);
            return BTreeMap::new();
        };
        let text = |(name, view): &(Cow<'_, str>, View<'_>)| {
            let text = self.as_text(view, &Place::Field(&place, name))?;
            Some((name.to_string(), text))
        };
        fields.iter().filter_map(text).collect()
    }

    /// A mapping inside this one.
    pub fn record(&self, key: &'static str, what: &'static str) -> Option<Record<'_>> {
        let (place, view) = self.lookup(key)?;
        Some(Record::new(self.decoder, view, place, what))
    }

    /// A list of mappings; a null element is an empty one.
    pub fn records<T>(
        &self,
        key: &'static str,
        what: &'static str,
        mut read: impl FnMut(&Record<'_>) -> T,
    ) -> Vec<T> {
        // The room for names is handed on: the next element asks for as many.
        let mut known = Vec::new();
        self.elements(key, |view, place| {
            let record = Record {
                known: RefCell::new(std::mem::take(&mut known)),
                ..Record::new(self.decoder, view, place, what)
            };
            let one = read(&record);
            record.report_unknown();
            known = record.known.into_inner();
            known.clear();
            Some(one)
        })
    }

    /// What is read from each element of a list.
    fn elements<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(&View<'_>, Place<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some((place, view)) = self.lookup(key) else {
            return Vec::new();
        };
        let View::List(list) = view else {
            self.decoder.unexpected(&place, "a list", view, None);
            return Vec::new();
        };
        let mut elements = Vec::with_capacity(list.len());
        for (index, view) in list.iter().enumerate() {
            elements.extend(read(view, Place::Element(&place, index)));
        }
        elements
    }
}

/// What a value is, for messages. The value itself is never quoted: it may be secret.
fn type_name(view: &View<'_>) -> &'static str {
    match view {
        View::Null => "nothing",
        View::Bool(_) => "a boolean",
        View::Number(_) => "a number",
        View::Text(_) => "a text",
        View::List(_) => "a list",
        View::Map(_) => "a mapping",
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
        let view = View::from(&value);
        let record = decoder.document(&view, "kustomization");
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

    #[test]
    fn a_place_is_the_whole_way() {
        let decoder = Decoder::new(Strictness::KUSTOMIZATION);
        let value = json!({"list": [null, {"Inner": {"texts": ["a", ["b"]]}}]});
        let view = View::from(&value);
        let record = decoder.document(&view, "kustomization");
        record.records("list", "element", |element| {
            let inner = element.record("inner", "inner");
            inner.map(|inner| inner.texts("texts"))
        });
        let key = |key: &str| Step::Key(key.into());
        let place = vec![
            key("list"),
            Step::Index(1),
            key("Inner"),
            key("texts"),
            Step::Index(1),
        ];
        let places: Vec<_> = decoder.mistakes().into_iter().map(|m| m.place).collect();
        assert_eq!(places, [place]);
    }

    #[test]
    fn a_field_is_known_to_the_element_that_asked_for_it() {
        let decoder = Decoder::new(Strictness::KUSTOMIZATION);
        let value = json!({"list": [{"kind": "a", "more": "b"}, {"more": "c"}]});
        let view = View::from(&value);
        let record = decoder.document(&view, "kustomization");
        record.records("list", "element", |element| {
            if element.has("kind") {
                element.text("more");
            }
        });
        let places: Vec<_> = decoder.mistakes().into_iter().map(|m| m.place).collect();
        let list = Step::Key("list".into());
        assert_eq!(places, [[list, Step::Index(1), Step::Key("more".into())]]);
    }
}
