//! Repositories that mean harm. Each is refused with a reason, a place and what to do, or does no
//! more than it says: nothing outside of the repository is read, no program is started, and time and
//! memory stay bounded. What a refusal costs the Application and its neighbours is in
//! [`crate::failures`].

mod growth;
mod limits;
mod links;
mod names;
mod objects;
mod paths;
mod plugins;
mod shapes;
mod threads;

use std::time::Duration;

use towline::error::Fault as _;
use towline::render::{DirectoryOptions, Error, Options, Rendered, render};
use towline::tree::{MemoryFiles, Tree};

/// How long hostile input may keep a processor busy with a render. Without optimisation, and beside
/// other tests, it is allowed more.
const SOON: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 1 });

/// An ordinary object, for kustomizations that need one.
const CONFIG_MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  key: value\n";

/// The files as a tree.
fn tree<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Tree {
    Tree::from_memory(files)
}

/// The plain manifests of a tree, with those of directories below.
fn plain() -> Options {
    Options {
        directory: DirectoryOptions {
            recurse: true,
            ..DirectoryOptions::default()
        },
        ..Options::default()
    }
}

/// The processor time that this thread has used; 0 where the system does not say. Not the time by
/// the clock, which other programs make longer.
fn busy() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    // In user mode and in the kernel, in ticks of 10 ms.
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks = ticks.filter_map(|ticks| ticks.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Renders, and does not take long for it.
#[track_caller]
fn rendered(tree: &Tree, dir: &str, options: &Options) -> Result<Rendered, Error> {
    let before = busy();
    let result = render(tree, dir, options);
    let took = busy().saturating_sub(before);
    assert!(took < SOON, "it took {took:?}");
    result
}

/// Renders what must be refused: returns the reason and the whole text.
#[track_caller]
fn refusal(tree: &Tree, dir: &str) -> (&'static str, String) {
    refusal_with(tree, dir, &Options::default())
}

#[track_caller]
fn refusal_with(tree: &Tree, dir: &str, options: &Options) -> (&'static str, String) {
    match rendered(tree, dir, options) {
        Ok(rendered) => panic!("not refused, but {} objects", rendered.objects.len()),
        Err(error) => (error.reason(), error.to_string()),
    }
}

/// Checks a refusal: its reason, and what its text must have.
#[track_caller]
fn is_refused(tree: &Tree, dir: &str, reason: &str, told: &[&str]) {
    let (found, text) = refusal(tree, dir);
    assert_eq!(found, reason, "{text}");
    for part in told {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// A kustomization beside one object.
fn with_object(kustomization: &str) -> Tree {
    tree([
        ("kustomization.yaml", kustomization),
        ("a.yaml", CONFIG_MAP),
    ])
}

/// A tree with symbolic links.
fn linked(files: &[(&str, &str)], links: &[(&str, &str)]) -> Tree {
    let all = files
        .iter()
        .fold(MemoryFiles::default(), |all, (path, text)| {
            all.file(path, text)
        });
    Tree::new(
        links
            .iter()
            .fold(all, |all, (path, target)| all.symlink(path, target)),
    )
}
