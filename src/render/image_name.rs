//! Image names: splitting them into name, tag and digest, and rewriting the parts.

use regex_lite::Regex;

use super::error::Result;
use super::limits::MAX_PATTERN_CHARS;
use super::select::compile;

/// One entry of `images`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ImageChange {
    /// The name to look for: a regular expression, as in kustomize.
    pub name: String,
    /// The name that replaces it.
    pub new_name: String,
    /// Appended to the tag.
    pub tag_suffix: String,
    /// The new tag; without `digest` an old digest is dropped.
    pub new_tag: String,
    /// The new digest; without `new_tag` an old tag is dropped.
    pub digest: String,
}

/// An [`ImageChange`] made ready.
#[derive(Debug)]
pub(super) struct ImageRule {
    change: ImageChange,
    pattern: Pattern,
}

/// What the image must be: nearly always a plain name.
#[derive(Debug)]
enum Pattern {
    /// A name in which only `.` is special.
    Name(String),
    Regex(Regex),
}

impl ImageRule {
    /// # Errors
    /// On a name that is no regular expression.
    pub fn new(change: ImageChange) -> Result<Self> {
        let name = &change.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
        let pattern = if name.len() <= MAX_PATTERN_CHARS && name.chars().all(plain) {
            Pattern::Name(name.clone())
        } else {
            Pattern::Regex(compile(
                name,
                &format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$"),
            )?)
        };
        Ok(Self { change, pattern })
    }

    /// The new image, or `None` where the rule does not mean this one.
    pub fn apply(&self, image: &str) -> Option<String> {
        let is_meant = match &self.pattern {
            Pattern::Name(name) => is_named(image, name),
            Pattern::Regex(regex) => regex.is_match(image),
        };
        if !is_meant {
            return None;
        }
        let change = &self.change;
        let (mut name, tag, digest) = split(image);
        if !change.new_name.is_empty() {
            name = &change.new_name;
        }
        let (mut tag, mut digest) = (tag.to_owned(), digest);
        match (change.new_tag.as_str(), change.digest.as_str()) {
            ("", "") if change.tag_suffix.is_empty() => {}
            ("", "") => {
                tag.push_str(&change.tag_suffix);
                digest = "";
            }
            (new_tag, new_digest) => {
                new_tag.clone_into(&mut tag);
                digest = new_digest;
            }
        }
        let mut image = name.to_owned();
        for (separator, part) in [(':', tag.as_str()), ('@', digest)] {
            if !part.is_empty() {
                image.push(separator);
                image.push_str(part);
            }
        }
        Some(image)
    }
}

/// Whether `image` is `name`, in which a `.` stands for any character, with or without tag and
/// digest: what the regular expression says, without the time that it takes.
fn is_named(image: &str, name: &str) -> bool {
    let mut rest = image.chars();
    let fits = |c: char, have: char| c == have || (c == '.' && have != '\n');
    if !name
        .chars()
        .all(|c| rest.next().is_some_and(|have| fits(c, have)))
    {
        return false;
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '{' | '}' | '-');
    let after = |rest: &'_ str, start: &str| -> usize {
        let part = rest
            .strip_prefix(start)
            .map(|part| part.find(|c| !word(c)).unwrap_or(part.len()));
        part.map_or(0, |length| start.len() + length)
    };
    let rest = rest.as_str();
    let rest = &rest[after(rest, ":")..];
    rest.len() == after(rest, "@sha256:")
}

/// Name, tag and digest. A colon in front of the first slash belongs to the registry.
fn split(image: &str) -> (&str, &str, &str) {
    let start = image.find('/').filter(|i| *i > 0).unwrap_or(0);
    let at = image[start..].find('@').map(|i| i + start);
    let colon = image[start..].find(':').map(|i| i + start);
    match (colon, at) {
        (None, None) => (image, "", ""),
        (Some(colon), Some(at)) if colon < at => {
            (&image[..colon], &image[colon + 1..at], &image[at + 1..])
        }
        (_, Some(at)) => (&image[..at], "", &image[at + 1..]),
        (Some(colon), None) => (&image[..colon], &image[colon + 1..], ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(image: &str, change: ImageChange) -> Option<String> {
        ImageRule::new(change)
            .expect("a good expression")
            .apply(image)
    }

    #[test]
    fn a_registry_port_is_no_tag() {
        assert_eq!(split("host:5000/app"), ("host:5000/app", "", ""));
        assert_eq!(
            split("host:5000/app:1@sha256:2"),
            ("host:5000/app", "1", "sha256:2")
        );
        assert_eq!(split("app@sha256:2"), ("app", "", "sha256:2"));
    }

    #[test]
    fn a_new_tag_drops_the_digest_and_a_new_digest_the_tag() {
        let base = ImageChange {
            name: "app".into(),
            ..ImageChange::default()
        };
        let tag = ImageChange {
            new_tag: "2".into(),
            ..base.clone()
        };
        assert_eq!(changed("app:1@sha256:a", tag).as_deref(), Some("app:2"));
        let digest = ImageChange {
            digest: "sha256:b".into(),
            ..base.clone()
        };
        assert_eq!(changed("app:1", digest).as_deref(), Some("app@sha256:b"));
        let renamed = ImageChange {
            new_name: "other".into(),
            ..base
        };
        assert_eq!(
            changed("app:1@sha256:a", renamed).as_deref(),
            Some("other:1@sha256:a")
        );
    }

    #[test]
    fn the_name_is_an_expression_for_the_whole_name() {
        let change = |name: &str| ImageChange {
            name: name.into(),
            new_tag: "2".into(),
            ..ImageChange::default()
        };
        assert_eq!(changed("my-nginx:1", change("nginx")), None);
        assert_eq!(
            changed("my-nginx:1", change(".*nginx")).as_deref(),
            Some("my-nginx:2")
        );
    }
}
