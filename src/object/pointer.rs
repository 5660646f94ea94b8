//! JSON pointers (RFC 6901), as Argo CD's `ignoreDifferences` and `towline.dev/ignore-fields` have
//! them.

use std::fmt;

/// A JSON pointer to a value in an object, such as `/spec/replicas`: its tokens, unescaped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(Vec<String>);

/// Why a text is no pointer to something that can be ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It has no slash at its beginning.
    #[error("a JSON pointer begins with `/`, such as /spec/replicas")]
    NoSlash,
    /// A `~` that is neither `~0` nor `~1`.
    #[error("in a JSON pointer `~` is written `~0` and `/` inside a name `~1`")]
    Tilde,
    /// The whole object, or what names it.
    #[error(
        "what names an object cannot be ignored; `towline.dev/reconcile: disabled` ignores the whole object"
    )]
    Identity,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// Where it is none, or points to the object itself or to what names it.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(if text.is_empty() {
                PointerError::Identity
            } else {
                PointerError::NoSlash
            });
        };
        let tokens = rest
            .split('/')
            .map(unescape)
            .collect::<Option<Vec<String>>>()
            .ok_or(PointerError::Tilde)?;
        let names: Vec<&str> = tokens.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["" | "apiVersion" | "kind" | "metadata"] | ["metadata", "name" | "namespace"] => {
                Err(PointerError::Identity)
            }
            _ => Ok(Self(tokens)),
        }
    }

    /// Its tokens, unescaped.
    pub fn tokens(&self) -> &[String] {
        &self.0
    }
}

/// One token without its escapes; `None` where an escape is none.
fn unescape(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at_checked(1)?;
        out.push(match escape {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        out.push_str(rest);
    }
    Some(out)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_written() {
        let text = "/metadata/annotations/example.com~1a~0b/0";
        let pointer = Pointer::parse(text).expect("a pointer");
        assert_eq!(
            pointer.tokens(),
            ["metadata", "annotations", "example.com/a~b", "0"]
        );
        assert_eq!(pointer.to_string(), text);
        assert!(Pointer::parse("/a//b").is_ok(), "a field may have no name");
    }

    #[test]
    fn what_is_no_pointer_says_why() {
        for (text, why) in [
            ("spec.replicas", PointerError::NoSlash),
            (".spec", PointerError::NoSlash),
            ("/a~2b", PointerError::Tilde),
            ("/a~", PointerError::Tilde),
            ("", PointerError::Identity),
            ("/", PointerError::Identity),
            ("/metadata", PointerError::Identity),
            ("/metadata/name", PointerError::Identity),
            ("/kind", PointerError::Identity),
        ] {
            assert_eq!(Pointer::parse(text), Err(why), "{text}");
        }
    }
}
