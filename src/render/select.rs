//! Selecting objects by regular expressions and by label selectors, as the targets of patches and
//! replacements do.

use super::error::{Error, Reason, Result};
use super::identity::{Identity, KindRef};
use super::label_selector::LabelSelector;
use super::limits::{MAX_MATCHED_BYTES, MAX_PATTERN_BYTES, MAX_PATTERN_CHARS};
use regex_lite::{Regex, RegexBuilder};

/// The fields of a `target`, `select` or `reject`, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector {
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Kubernetes label selector over the annotations.
    pub annotation_selector: String,
    /// Kubernetes label selector over the labels.
    pub label_selector: String,
}

impl Selector {
    /// Whether it names neither kind nor name nor namespace.
    pub fn has_no_identity(&self) -> bool {
        [
            &self.group,
            &self.version,
            &self.kind,
            &self.name,
            &self.namespace,
        ]
        .iter()
        .all(|field| field.is_empty())
    }
}

impl std::fmt::Display for Selector {
    /// The fields that are set, as `kind: Deployment, name: web`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = [
            ("group", &self.group),
            ("version", &self.version),
            ("kind", &self.kind),
            ("name", &self.name),
            ("namespace", &self.namespace),
            ("annotationSelector", &self.annotation_selector),
            ("labelSelector", &self.label_selector),
        ];
        let mut first = true;
        for (key, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            write!(f, "{}{key}: {value}", if first { "" } else { ", " })?;
            first = false;
        }
        Ok(())
    }
}

/// A selector made ready. Every expression must match the whole text.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    annotations: LabelSelector,
    labels: LabelSelector,
}

impl Matcher {
    /// From the written fields.
    ///
    /// # Errors
    /// On a field that is no regular expression or no label selector.
    pub fn new(selector: &Selector) -> Result<Self> {
        Ok(Self {
            group: Pattern::new(&selector.group)?,
            version: Pattern::new(&selector.version)?,
            kind: Pattern::new(&selector.kind)?,
            name: Pattern::new(&selector.name)?,
            namespace: Pattern::new(&selector.namespace)?,
            annotations: LabelSelector::parse(&selector.annotation_selector)?,
            labels: LabelSelector::parse(&selector.label_selector)?,
        })
    }

    /// Whether the kind matches.
    pub fn matches_kind(&self, kind: KindRef<'_>) -> bool {
        self.kind.matches(kind.kind)
            && self.group.matches(kind.group)
            && self.version.matches(kind.version)
    }

    /// Whether the name matches.
    pub fn matches_name(&self, name: &str) -> bool {
        self.name.matches(name)
    }

    /// Whether the namespace matches.
    pub fn matches_namespace(&self, namespace: &str) -> bool {
        self.namespace.matches(namespace)
    }

    /// Whether kind, name and the namespace as written match: how replacements look at identities.
    pub fn matches_identity(&self, id: &Identity) -> bool {
        self.matches_kind((&id.gvk).into())
            && self.matches_name(&id.name)
            && self.matches_namespace(&id.namespace)
    }

    /// What it takes to match an object of this name: about the characters of the text times those
    /// of the expressions.
    pub fn steps(&self, name: &str, namespace: &str) -> usize {
        let cost = |pattern: &Pattern, text: &str| match pattern {
            Pattern::Any | Pattern::Literal(_) => 0,
            Pattern::Regex(regex) => pattern_steps(regex.as_str(), text.len()),
        };
        let kind = [&self.group, &self.version, &self.kind];
        1 + kind
            .iter()
            .map(|pattern| cost(pattern, name))
            .sum::<usize>()
            + cost(&self.name, name)
            + cost(&self.namespace, namespace)
    }

    /// The selector over labels.
    pub fn labels(&self) -> &LabelSelector {
        &self.labels
    }

    /// The selector over annotations.
    pub fn annotations(&self) -> &LabelSelector {
        &self.annotations
    }

    /// The one name that can match, where the expression is a plain name: the key into an index.
    pub fn only_name(&self) -> Option<&str> {
        match &self.name {
            Pattern::Literal(name) => Some(name),
            Pattern::Any | Pattern::Regex(_) => None,
        }
    }
}

/// One field of a selector.
#[derive(Debug, Clone)]
enum Pattern {
    Any,
    Literal(String),
    Regex(Regex),
}

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::Any);
        }
        if text
            .chars()
            .all(|c| c.is_alphanumeric() || c == '-' || c == '_' || c == '/')
        {
            return Ok(Self::Literal(text.to_owned()));
        }
        compile(text, &format!("^(?:{text})$")).map(Self::Regex)
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(only) => only == text,
            Self::Regex(regex) => is_match(regex, text),
        }
    }
}

/// About how long it takes to match a text of `len` bytes.
pub(super) fn pattern_steps(pattern: &str, len: usize) -> usize {
    pattern.len() * len.min(MAX_MATCHED_BYTES) / 4
}

/// Whether `regex` matches; never so in a text that no name is as long as.
pub(super) fn is_match(regex: &Regex, text: &str) -> bool {
    text.len() <= MAX_MATCHED_BYTES && regex.is_match(text)
}

/// Compiles `pattern`, which was made of `text`. Matching takes linear time.
///
/// # Errors
/// On a text that is no regular expression, or one that is too large.
pub(super) fn compile(text: &str, pattern: &str) -> Result<Regex> {
    if text.chars().count() > MAX_PATTERN_CHARS {
        return Err(Error::new(
            Reason::LimitExceeded,
            format!("a regular expression is longer than {MAX_PATTERN_CHARS} characters"),
        ));
    }
    // compiled, `a{9}{9}{9}` is a thousand times as long as written
    RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN_BYTES)
        .build()
        .map_err(|e| {
            let problem = e.to_string();
            if problem.contains("size limit") {
                let what = format!(
                    "a regular expression is larger than the limit of {MAX_PATTERN_BYTES} bytes"
                );
                return Error::new(Reason::LimitExceeded, what);
            }
            Error::failed(format!("`{text}` is no regular expression: {problem}")).hint(
                "name and kind of a selector are regular expressions that match the whole text",
            )
        })
}
