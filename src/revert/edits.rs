//! Which files a revert puts back, and why it may not. Pure.

use std::collections::BTreeMap;

use crate::tree::above;

/// The files that an Application reads as one commit has them: those that are not there are left
/// out.
pub type Files<F> = BTreeMap<String, F>;

/// A file that cannot be put back without undoing what somebody did to it since.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Somebody changed it after the bad revision.
    #[error("`{0}` was changed again since")]
    Changed(String),
    /// It came since where a file has to be that comes back.
    #[error("`{0}` would be lost")]
    Lost(String),
    /// It is a submodule in one of the commits: what is in that is not here.
    #[error("`{0}` is a submodule, or was one")]
    Submodule(String),
}

/// What makes of the files in `head` those in `good`, where `bad` had made something else of them:
/// for each path the file that is to be there, or none. A file that is in `head` as it is in `good`
/// needs nothing; one that is neither as in `good` nor as in `bad` is somebody's later work.
///
/// # Errors
/// The first such file.
pub fn edits<F: Clone + PartialEq>(
    good: &Files<F>,
    bad: &Files<F>,
    head: &Files<F>,
) -> Result<BTreeMap<String, Option<F>>, Conflict> {
    let mut edits = BTreeMap::new();
    for path in good.keys().chain(bad.keys()) {
        let (then, changed, now) = (good.get(path), bad.get(path), head.get(path));
        if then == changed || now == then {
            continue;
        }
        if now != changed {
            return Err(Conflict::Changed(path.clone()));
        }
        edits.insert(path.clone(), then.cloned());
    }
    // A file that somebody put where a directory has to be comes back is their work too.
    for path in edits
        .iter()
        .filter(|(_, file)| file.is_some())
        .map(|(p, _)| p)
    {
        for place in above(path) {
            if head.contains_key(place) && edits.get(place) != Some(&None) {
                return Err(Conflict::Changed(place.to_owned()));
            }
        }
    }
    Ok(edits)
}

/// The paths that a revert looks at: what was read, and the directories above it, where a file may
/// stand in another commit.
pub fn paths<'a>(read: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut all = std::collections::BTreeSet::new();
    for path in read.into_iter().filter(|path| !path.is_empty()) {
        all.extend(above(path));
        all.insert(path);
    }
    all.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &'static str)]) -> Files<&'static str> {
        list.iter()
            .map(|(path, text)| ((*path).to_owned(), *text))
            .collect()
    }

    #[test]
    fn what_was_changed_added_and_removed_is_put_back_and_nothing_else() {
        let good = files(&[("web.yaml", "1"), ("gone.yaml", "1"), ("same.yaml", "1")]);
        let bad = files(&[("web.yaml", "2"), ("new.yaml", "2"), ("same.yaml", "1")]);
        let mut head = bad.clone();
        // Somebody changed what the bad revision did not touch, and undid a part of it by hand.
        head.insert("same.yaml".into(), "3");
        let edited = edits(&good, &bad, &head).expect("no conflict");
        let expected = [
            ("gone.yaml".to_owned(), Some("1")),
            ("new.yaml".to_owned(), None),
            ("web.yaml".to_owned(), Some("1")),
        ];
        assert_eq!(edited, BTreeMap::from(expected));
        head.insert("web.yaml".into(), "1");
        let edited = edits(&good, &bad, &head).expect("no conflict");
        assert!(!edited.contains_key("web.yaml"));
        assert_eq!(edits(&good, &bad, &good), Ok(BTreeMap::new()));
    }

    #[test]
    fn somebodys_later_work_is_not_undone() {
        let good = files(&[("web.yaml", "1")]);
        let bad = files(&[("web.yaml", "2"), ("new.yaml", "2")]);
        for head in [
            files(&[("web.yaml", "3"), ("new.yaml", "2")]),
            files(&[("web.yaml", "2"), ("new.yaml", "3")]),
            files(&[("new.yaml", "2")]),
        ] {
            assert!(edits(&good, &bad, &head).is_err(), "{head:?}");
        }
        // A file where the directory of what comes back has to be.
        let good = files(&[("a/b.yaml", "1")]);
        let conflict = edits(&good, &files(&[]), &files(&[("a", "theirs")]));
        assert_eq!(conflict, Err(Conflict::Changed("a".into())));
        let bad = files(&[("a", "2")]);
        assert_eq!(edits(&good, &bad, &bad).map(|edits| edits.len()), Ok(2));
    }

    #[test]
    fn directories_above_are_looked_at() {
        assert_eq!(paths(["", "a/b/c", "a/d"]), ["a", "a/b", "a/b/c", "a/d"]);
    }
}
