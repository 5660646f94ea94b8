//! Kubernetes label selectors: `app=web,tier in (a,b),!canary`.

use super::error::{Error, Result};

/// A parsed selector: all of its requirements must hold. Without any it takes everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    Exists,
    DoesNotExist,
    In(Vec<String>),
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

impl LabelSelector {
    /// Parses the text of a `labelSelector` or `annotationSelector`.
    ///
    /// # Errors
    /// On text that Kubernetes does not take for a selector either.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut parser = Parser {
            tokens: tokens(text),
            next: 0,
        };
        parser.requirements().map(Self).ok_or_else(|| {
            Error::failed(format!("`{text}` is no label selector"))
                .hint("write `app=web`, `app in (web,api)`, `app` or `!app`, separated by commas")
        })
    }

    /// Whether labels, looked up by key, satisfy all requirements.
    pub fn matches(&self, label: impl Fn(&str) -> Option<String>) -> bool {
        self.0.iter().all(|requirement| {
            let value = label(&requirement.key);
            match &requirement.operator {
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
                Operator::In(values) => value.is_some_and(|v| values.contains(&v)),
                Operator::NotIn(values) => value.is_none_or(|v| !values.contains(&v)),
                Operator::GreaterThan(than) => number(value).is_some_and(|n| n > *than),
                Operator::LessThan(than) => number(value).is_some_and(|n| n < *than),
            }
        })
    }
}

fn number(value: Option<String>) -> Option<i64> {
    value?.parse().ok()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

/// The signs, longer ones first.
const SIGNS: &[&str] = &["==", "!=", "=", "!", ",", "(", ")", ">", "<"];

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = rest[sign.len()..].trim_start();
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || "=!,()<>".contains(c))
            .unwrap_or(rest.len());
        tokens.push(Token::Word(rest[..end].to_owned()));
        rest = rest[end..].trim_start();
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn requirements(&mut self) -> Option<Vec<Requirement>> {
        let mut all = vec![self.requirement()?];
        while self.sign(",") {
            all.push(self.requirement()?);
        }
        (self.next == self.tokens.len()).then_some(all)
    }

    fn requirement(&mut self) -> Option<Requirement> {
        if self.sign("!") {
            let key = self.key()?;
            return Some(Requirement {
                key,
                operator: Operator::DoesNotExist,
            });
        }
        let key = self.key()?;
        let operator = if self.sign("=") || self.sign("==") {
            Operator::In(vec![self.value()?])
        } else if self.sign("!=") {
            Operator::NotIn(vec![self.value()?])
        } else if self.sign(">") {
            Operator::GreaterThan(self.value()?.parse().ok()?)
        } else if self.sign("<") {
            Operator::LessThan(self.value()?.parse().ok()?)
        } else if self.word("in") {
            Operator::In(self.values()?)
        } else if self.word("notin") {
            Operator::NotIn(self.values()?)
        } else {
            Operator::Exists
        };
        Some(Requirement { key, operator })
    }

    fn key(&mut self) -> Option<String> {
        let Token::Word(key) = self.tokens.get(self.next)?.clone() else {
            return None;
        };
        self.next += 1;
        is_key(&key).then_some(key)
    }

    /// A value; it may be empty.
    fn value(&mut self) -> Option<String> {
        let Some(Token::Word(value)) = self.tokens.get(self.next).cloned() else {
            return Some(String::new());
        };
        self.next += 1;
        is_value(&value).then_some(value)
    }

    fn values(&mut self) -> Option<Vec<String>> {
        if !self.sign("(") {
            return None;
        }
        let mut values = vec![self.value()?];
        while self.sign(",") {
            values.push(self.value()?);
        }
        self.sign(")").then_some(values)
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.next), Some(Token::Sign(s)) if *s == sign);
        self.next += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.next), Some(Token::Word(w)) if w == word);
        self.next += usize::from(found);
        found
    }
}

/// A name of letters, digits, `-`, `_` and `.`, with an optional DNS prefix in front of a slash.
fn is_key(key: &str) -> bool {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(p, n)| (Some(p), n));
    let prefix_is_good = prefix.is_none_or(|p| {
        (1..=253).contains(&p.len())
            && p.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            })
    });
    prefix_is_good && !name.is_empty() && is_value(name)
}

/// At most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_value(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let end = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    value.len() <= 63 && bytes.iter().all(|b| inner(*b)) && end(bytes.first()) && end(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(selector: &str, labels: &[(&str, &str)]) -> bool {
        let selector = LabelSelector::parse(selector).expect("a good selector");
        selector.matches(|key| {
            labels
                .iter()
                .find(|(k, _)| *k == key)
                .map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn all_requirements_must_hold() {
        let labels = &[("app", "web"), ("tier", "a")];
        assert!(holds("app=web,tier in (a, b)", labels));
        assert!(holds("app==web, !canary", labels));
        assert!(holds("app!=api", labels));
        assert!(holds("tier notin (b)", labels));
        assert!(!holds("app=web,canary", labels));
        assert!(holds("", labels));
    }

    #[test]
    fn text_that_is_no_selector_is_refused() {
        for text in ["app in web", "a=b=c", ",", "a b", "-a=b", "app=web,"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }
}
