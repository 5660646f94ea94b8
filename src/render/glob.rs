//! File name patterns of plain directories, as Argo CD has them: `*` stands for anything but a
//! slash, `**` for anything, `?` for one character, and `{a,b}` for either.

/// Some patterns.
#[derive(Debug, Clone)]
pub(super) struct Globs(Vec<String>);

impl Globs {
    /// From patterns as written; `{a,b}` is written out.
    pub fn new(patterns: &[String]) -> Self {
        Self(
            patterns
                .iter()
                .flat_map(|pattern| alternatives(pattern))
                .collect(),
        )
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them matches the whole path.
    pub fn matches(&self, path: &str) -> bool {
        self.0
            .iter()
            .any(|pattern| matches(pattern.as_bytes(), path.as_bytes()))
    }
}

/// How many patterns one pattern with braces may become.
const MAX_ALTERNATIVES: usize = 1_000;

fn alternatives(pattern: &str) -> Vec<String> {
    let mut open = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(pattern) = open.pop() {
        let braces = pattern.find('{').and_then(|start| {
            pattern[start..]
                .find('}')
                .map(|length| (start, start + length))
        });
        match braces {
            Some((start, end)) if open.len() + done.len() < MAX_ALTERNATIVES => {
                for choice in pattern[start + 1..end].split(',').rev() {
                    open.push(format!(
                        "{}{choice}{}",
                        &pattern[..start],
                        &pattern[end + 1..]
                    ));
                }
            }
            _ => done.push(pattern),
        }
    }
    done
}

/// Matching with one place to return to for `*` and one for `**`: at most quadratic.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut stars: Option<(usize, usize)> = None;
    loop {
        if pattern[p..].starts_with(b"**") {
            // `**/` also stands for no directory at all
            let after = if pattern[p + 2..].starts_with(b"/") && (p == 0 || pattern[p - 1] == b'/')
            {
                p + 3
            } else {
                p + 2
            };
            stars = Some((after, t));
            star = None;
            p = after;
            continue;
        }
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        match (pattern.get(p), path.get(t)) {
            (None, None) => return true,
            (Some(b'?'), Some(c)) if *c != b'/' => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            (Some(a), Some(b)) if a == b => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            _ => {}
        }
        match (star, stars) {
            (Some((after, from)), _) if path.get(from).is_some_and(|c| *c != b'/') => {
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            (_, Some((after, from))) if from < path.len() => {
                stars = Some((after, from + 1));
                star = None;
                (p, t) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches_one(pattern: &str, path: &str) -> bool {
        Globs::new(&[pattern.to_owned()]).matches(path)
    }

    #[test]
    fn a_star_stays_inside_of_a_directory() {
        assert!(matches_one("*.yaml", "a.yaml"));
        assert!(!matches_one("*.yaml", "b/a.yaml"));
        assert!(matches_one("**/*.yaml", "b/c/a.yaml"));
        assert!(matches_one("**/*.yaml", "a.yaml"));
        assert!(matches_one("b/**", "b/c/a.yaml"));
        assert!(matches_one("{a,b}/?.yml", "b/c.yml"));
        assert!(!matches_one("{a,b}/?.yml", "c/c.yml"));
    }
}
