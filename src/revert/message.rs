//! What a commit of towline says. Pure.

use std::fmt::Write as _;

use crate::git::{CommitDetails, REASON_TRAILER};
use crate::live::shown;

/// The longest reason, in characters.
const REASON_LIMIT: usize = 512;

/// Why a commit is made, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Why the revision is taken back.
    pub reason: String,
    /// The installation that does it.
    pub cluster: String,
    /// The Application, as `namespace/name`.
    pub application: String,
}

/// The message of a commit that takes back `reverted`, the newest first, and restores `good`.
pub fn message(words: &Words, reverted: &[CommitDetails], good: &str) -> String {
    let line = |text: &str| shown::line(text, REASON_LIMIT);
    let subject = reverted
        .first()
        .map_or("", |newest| newest.subject.as_str());
    // Writing to a string does not fail.
    let mut out = format!("Revert \"{subject}\"\n\n");
    match reverted {
        [one] => {
            let _ = writeln!(out, "This reverts commit {}.", one.commit);
        }
        many => {
            let _ = writeln!(out, "This reverts these commits:\n");
            for one in many {
                let _ = writeln!(out, "    {} {}", one.commit, one.subject);
            }
        }
    }
    let _ = writeln!(
        out,
        "\nThe files that the Application {} reads are as in\n{good} again; other files stay as they are.\n",
        line(&words.application)
    );
    for one in reverted {
        let _ = writeln!(out, "Reverts: {}", one.commit);
    }
    let _ = writeln!(out, "{REASON_TRAILER} {}", line(&words.reason));
    let _ = writeln!(out, "Towline-Cluster: {}", line(&words.cluster));
    out
}

/// Why a revision was taken back, as far as it may stand in Git for ever: the word, and the object.
/// What a pod said last may hold what nobody wants there; the status has it.
pub fn cause(reason: &str, message: &str) -> String {
    let is_object = |word: &&str| word.ends_with(':') && word.matches('/').count() >= 1;
    let object = message.split_whitespace().find(is_object);
    match object {
        Some(object) => format!("{reason}: {}", object.trim_end_matches(':')),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: &str, subject: &str) -> CommitDetails {
        CommitDetails {
            commit: digit.repeat(40),
            author: "Ann".into(),
            email: "ann@example.com".into(),
            time: 0,
            subject: subject.into(),
            is_by_towline: false,
            parents: Vec::new(),
        }
    }

    fn words() -> Words {
        Words {
            reason: "OOMKilled: Deployment/shop/web".into(),
            cluster: "prod".into(),
            application: "towline-system/shop".into(),
        }
    }

    #[test]
    fn it_reads_like_gits_own_and_has_trailers() {
        let text = message(&words(), &[commit("b", "Faster")], &"a".repeat(40));
        let b = "b".repeat(40);
        let expected = format!(
            "Revert \"Faster\"\n\nThis reverts commit {b}.\n\n\
             The files that the Application towline-system/shop reads are as in\n{} again; other files stay as they are.\n\n\
             Reverts: {b}\nTowline-Reason: OOMKilled: Deployment/shop/web\nTowline-Cluster: prod\n",
            "a".repeat(40)
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn every_commit_that_is_taken_back_is_named_and_no_trailer_is_smuggled_in() {
        let mut words = words();
        words.reason = "because\n\nReverts: everything".into();
        let commits = [commit("c", "Two"), commit("b", "One")];
        let text = message(&words, &commits, &"a".repeat(40));
        assert!(text.starts_with("Revert \"Two\"\n"), "{text}");
        let trailers: Vec<&str> = text.lines().filter(|l| l.starts_with("Reverts:")).collect();
        assert_eq!(trailers.len(), 2, "{text}");
        assert!(
            text.contains("Towline-Reason: because Reverts: everything\n"),
            "{text}"
        );
    }

    #[test]
    fn last_words_of_a_pod_do_not_get_into_git() {
        let said = "Deployment/shop/web: container main: postgres://u:secret@db";
        assert_eq!(
            cause("CrashLoopBackOff", said),
            "CrashLoopBackOff: Deployment/shop/web"
        );
        let late = "not healthy after 5m: Deployment/shop/web: 0 of 1 are ready";
        assert_eq!(
            cause("NotHealthyInTime", late),
            "NotHealthyInTime: Deployment/shop/web"
        );
        assert_eq!(cause("HookFailed", "it said secret"), "HookFailed");
    }
}
